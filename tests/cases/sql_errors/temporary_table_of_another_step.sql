create temp table x (id int);
vacuum;
insert into x values (1);
