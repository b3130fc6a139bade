CREATE TABLE journal (id bigint);
ALTER TABLE journal RENAME TO diary;
