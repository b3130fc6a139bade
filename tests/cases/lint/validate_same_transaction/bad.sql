-- expect: 3:1 blocking validate_same_transaction validates total_positive in the transaction that added it, which still locks orders
ALTER TABLE orders ADD CONSTRAINT total_positive CHECK (total > 0) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT total_positive;
