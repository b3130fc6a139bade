-- Entries of the guestbook. A program with the API key, or a person with `mosaic-deploy sql`, adds them.
CREATE TABLE entries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
  message text NOT NULL CHECK (length(message) BETWEEN 1 AND 1000),
  hidden boolean NOT NULL DEFAULT false,
  written_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX entries_shown ON entries (written_at DESC) WHERE NOT hidden;
