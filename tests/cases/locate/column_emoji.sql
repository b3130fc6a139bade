-- column "🎉nope" does not exist
SELECT '🎉', ►🎉nope FROM t
