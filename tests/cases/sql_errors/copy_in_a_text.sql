SELECT '
COPY a FROM stdin;
';
SELEC 1;
