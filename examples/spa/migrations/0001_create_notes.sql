-- The notes of the app. A backend with the API key reads and writes them through the SQL endpoint.
CREATE TABLE notes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  title text NOT NULL CHECK (title <> ''),
  text text NOT NULL DEFAULT '',
  edited_at timestamptz NOT NULL DEFAULT now()
);
