WITH somebody AS (
  INSERT INTO people (email) VALUES ('ada@example.com') RETURNING id
)
INSERT INTO todos (owner_id, task)
SELECT id, task FROM somebody, (VALUES ('Read mosaic.yaml'), ('Change a page and apply again')) AS first (task);
