-- expect: 2:1 destructive set_unlogged sets table orders UNLOGGED: a crash of the server empties it; the rewrite blocks reads and writes
ALTER TABLE orders SET UNLOGGED;
