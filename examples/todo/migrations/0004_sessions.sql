-- Who is signed in. The cookie has the token; here is only its SHA-256, so that a copy of the table signs nobody in.
CREATE TABLE sessions (
  token_sha256 bytea PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES people (id) ON DELETE CASCADE,
  expires_at timestamptz NOT NULL DEFAULT now() + interval '30 days'
);

CREATE INDEX sessions_person ON sessions (person_id);
