-- expect: 8:1 destructive sequence_moved_back moves sequence ticket_numbers: rows may have the next values already
-- expect: 9:1 destructive sequence_moved_back moves sequence ticket_numbers to 10: rows may have the next values already
-- expect: 10:1 destructive sequence_moved_back moves the sequence of trips.cost to 5: rows may have the next values already
-- expect: 11:8 destructive sequence_moved_back moves sequence public.ticket_numbers to 1: rows may have the next values already
-- expect: 12:8 destructive sequence_moved_back moves the sequence of orders.id: rows may have the next values already
-- expect: 13:8 destructive sequence_moved_back moves sequence ticket_numbers: rows may have the next values already
-- expect: 14:7 destructive sequence_moved_back moves sequence ticket_numbers to 100000000000: rows may have the next values already
ALTER SEQUENCE ticket_numbers RESTART;
ALTER SEQUENCE ticket_numbers RESTART WITH 10;
ALTER TABLE trips ALTER COLUMN cost RESTART WITH 5;
SELECT setval('public.ticket_numbers'::regclass, 1, false);
SELECT setval(pg_get_serial_sequence('orders', 'id'), 0 + 7);
SELECT setval('ticket_numbers', (SELECT max(id) - 100 FROM orders));
DO $$ BEGIN PERFORM setval('ticket_numbers', 99999999999); END $$;
