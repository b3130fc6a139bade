INSERT INTO entries (name, message) VALUES ('Ada', 'Welcome! Write the second entry.');
