-- expect: 3:12 blocking lock_table locks table orders until the transaction ends
-- expect: 3:20 blocking lock_table locks table customers until the transaction ends
LOCK TABLE orders, customers IN EXCLUSIVE MODE;
