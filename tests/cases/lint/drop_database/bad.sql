-- expect: 2:1 destructive drop_database drops database shop
DROP DATABASE shop;
