-- column reference "id" is ambiguous
SELECT ►id FROM t, u
