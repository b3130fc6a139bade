-- protected: customers
CREATE TABLE scratch (id bigint);
ALTER TABLE scratch RENAME TO papers;
