-- invalid input syntax for type integer: "abc"
INSERT INTO abc VALUES ('x', ►'abc')
