CREATE TABEL b (id int, key varchar(20), charset text);
