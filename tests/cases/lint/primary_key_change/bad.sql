-- expect: 2:1 risky primary_key_change drops primary key customers_pkey of customers: updates and deletes by key will scan the table
ALTER TABLE customers DROP CONSTRAINT customers_pkey;
