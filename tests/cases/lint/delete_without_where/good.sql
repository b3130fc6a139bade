DELETE FROM orders_log WHERE id IN (SELECT id FROM orders);
