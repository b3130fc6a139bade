-- expect: 2:1 risky rename_schema renames schema attic to cellar: running code still uses the old name
ALTER SCHEMA attic RENAME TO cellar;
