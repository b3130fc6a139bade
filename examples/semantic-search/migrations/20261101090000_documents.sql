-- Documents with embeddings. Three dimensions keep the example readable; real models have 384 or more.
CREATE TABLE documents (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  title text NOT NULL UNIQUE,
  body text NOT NULL,
  embedding vector(3) NOT NULL
);

INSERT INTO documents (title, body, embedding) VALUES
  ('Cats', 'Cats sleep for most of the day.', '[0.9, 0.1, 0.0]'),
  ('Dogs', 'Dogs like company and long walks.', '[0.8, 0.3, 0.1]'),
  ('Bread', 'Flour, water, salt, and time.', '[0.1, 0.9, 0.2]'),
  ('Trains', 'A train needs rails and a timetable.', '[0.0, 0.2, 0.9]');
