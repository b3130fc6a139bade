-- expect: 2:1 destructive drop_attribute drops attribute place.town from every value of the type
ALTER TYPE place DROP ATTRIBUTE town;
