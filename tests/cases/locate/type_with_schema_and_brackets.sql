-- type "l.nosuch[]" does not exist
CREATE TABLE a (b ►l.nosuch[])
