-- role "norole" does not exist
►GRANT norole TO norole
