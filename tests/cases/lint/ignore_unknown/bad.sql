-- expect: 2:1 advice ignore_unknown mosaic-ignore names an unknown rule: drop_tabel; did you mean drop_table?
-- mosaic-ignore: drop_tabel it was never used
SELECT 1;
