-- The documents closest in meaning. `<=>` is pgvector's cosine distance; 0 means the same direction.
CREATE FUNCTION nearest(query vector(3), most integer DEFAULT 3)
RETURNS TABLE (title text, body text, distance double precision)
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT d.title, d.body, d.embedding <=> query
  FROM documents d
  ORDER BY d.embedding <=> query
  LIMIT most;
END;
