-- expect: 5:1 risky rename_object renames function count_attic to attic_size: running code still uses the old name
-- expect: 6:1 risky rename_object moves function empty_attic to schema attic: running code still uses the old name
-- expect: 7:1 risky rename_object renames value 'fine' of type mood to 'good': running code still uses the old name
-- expect: 8:1 risky rename_object renames type mood to feeling: running code still uses the old name
ALTER FUNCTION count_attic() RENAME TO attic_size;
ALTER FUNCTION empty_attic() SET SCHEMA attic;
ALTER TYPE mood RENAME VALUE 'fine' TO 'good';
ALTER TYPE mood RENAME TO feeling;
