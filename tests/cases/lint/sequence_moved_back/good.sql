SELECT setval('ticket_numbers', (SELECT max(id) FROM orders));
SELECT setval('ticket_numbers', COALESCE((SELECT max(id) + 1 FROM orders), 1), false);
SELECT setval('ticket_numbers', greatest(nextval('ticket_numbers'), 500));
CREATE TABLE tickets (id bigserial PRIMARY KEY, number bigint GENERATED ALWAYS AS IDENTITY);
SELECT setval('tickets_id_seq', 40);
SELECT setval('public.tickets_number_seq', 40);
ALTER TABLE tickets ALTER COLUMN number RESTART WITH 5;
ALTER SEQUENCE ticket_numbers CACHE 10;
