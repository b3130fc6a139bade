SELECT 1 FORM t x y;
CREATE TABLE "ok" (unsigned int);
