-- CONCURRENTLY doesn't block writes, but can't run in a transaction.
CREATE INDEX CONCURRENTLY documents_embedding ON documents USING hnsw (embedding vector_cosine_ops);
