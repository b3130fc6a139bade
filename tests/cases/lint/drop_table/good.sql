CREATE TABLE scratch (id bigint);
DROP TABLE scratch;
DROP VIEW order_list;
