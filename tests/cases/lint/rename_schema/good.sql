CREATE SCHEMA cellar;
ALTER SCHEMA cellar RENAME TO basement;
