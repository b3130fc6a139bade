CREATE TYPE colour AS ENUM ('red');
DROP TYPE colour CASCADE;
