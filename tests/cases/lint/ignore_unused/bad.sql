-- expect: 2:1 advice ignore_unused mosaic-ignore for drop_table silences nothing
-- mosaic-ignore: drop_table it was never used
SELECT 1;
