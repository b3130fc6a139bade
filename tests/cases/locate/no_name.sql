-- division by zero
►SELECT 1 / 0
