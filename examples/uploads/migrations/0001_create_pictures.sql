-- What visitors have uploaded. The files are in storage, under names that backend.py chooses.
CREATE TABLE pictures (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  filename text NOT NULL UNIQUE,
  title text NOT NULL CHECK (length(title) BETWEEN 1 AND 100),
  size bigint NOT NULL CHECK (size > 0),
  uploaded_at timestamptz NOT NULL DEFAULT now()
);
