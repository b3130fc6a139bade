CREATE TABLE t (a text);
COPY t FROM stdin;
it's "odd" $x$ /* -- +goose Down
\.
SELEC 1;
