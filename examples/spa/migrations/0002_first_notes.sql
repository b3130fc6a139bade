INSERT INTO notes (title, text) VALUES
  ('Routes', 'Every path shows index.html, and app.js shows what the path names.'),
  ('Deploys', 'A page and its scripts are replaced together; tabs that are open keep working.');
