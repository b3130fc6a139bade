-- People and their tasks. backend.py reads and writes them for the person who is signed in.
CREATE TABLE people (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email text NOT NULL UNIQUE CHECK (email = lower(email)),
  joined_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE todos (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner_id uuid NOT NULL REFERENCES people (id) ON DELETE CASCADE,
  task text NOT NULL CHECK (task <> ''),
  done boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX todos_owner_open ON todos (owner_id) WHERE NOT done;
