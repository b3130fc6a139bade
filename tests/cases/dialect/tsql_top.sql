SELECT TOP 10 * FROM [users];
