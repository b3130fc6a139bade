SELECT 'é', :'name';
