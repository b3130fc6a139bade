"""What we know of PostgreSQL's language: text in, values out. No I/O."""
