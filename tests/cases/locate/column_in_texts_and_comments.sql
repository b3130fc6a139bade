-- column "nope" does not exist
SELECT 'nope', /* nope /* nope */ */ ►nope -- nope
FROM t
