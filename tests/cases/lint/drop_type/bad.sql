-- expect: 2:1 destructive drop_type drops type mood and every column that uses it
DROP TYPE mood CASCADE;
