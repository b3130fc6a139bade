CREATE TABLE visits (began timestamptz, day date);
