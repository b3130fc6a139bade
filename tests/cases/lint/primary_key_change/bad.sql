-- expect: 2:1 risky primary_key_change drops the primary key customers_pkey of customers: updates and deletes by it scan the table
ALTER TABLE customers DROP CONSTRAINT customers_pkey;
