-- expect: 3:21 advice int4_key primary key items.id is a 4-byte integer, which ends at 2,147,483,647
-- expect: 4:21 advice int4_key primary key parts.id is a 4-byte integer, which ends at 2,147,483,647
CREATE TABLE items (id serial PRIMARY KEY);
CREATE TABLE parts (id int, name text, PRIMARY KEY (id));
