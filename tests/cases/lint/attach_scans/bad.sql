-- expect: 5:1 blocking attach_scans attaches trips_old to trips: checks every row of it, blocking reads and writes
-- expect: 6:1 blocking attach_scans attaches trips_old to trips: checks every row of it, blocking reads and writes
-- expect: 10:1 blocking attach_scans attaches trips_old to trips: checks every row of it, blocking reads and writes
-- expect: 14:1 blocking attach_scans attaches trips_older to trips: checks every row of it, blocking reads and writes
ALTER TABLE trips ATTACH PARTITION trips_old FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
ALTER TABLE trips ATTACH PARTITION trips_old DEFAULT;
-- A check for other bounds, one that isn't validated, and one that lets null through prove nothing.
ALTER TABLE trips_old ADD CONSTRAINT other CHECK (day >= '2019-01-01' AND day < '2020-01-01' AND day IS NOT NULL) NOT VALID;
ALTER TABLE trips_old ADD CONSTRAINT bounds CHECK (day >= '2020-01-01' AND day < '2021-01-01' AND day IS NOT NULL) NOT VALID;
ALTER TABLE trips ATTACH PARTITION trips_old FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
ALTER TABLE trips_older ADD CONSTRAINT nulls CHECK (day >= '2018-01-01' AND day < '2019-01-01') NOT VALID;
-- mosaic-ignore: validate_same_transaction a case of its own
ALTER TABLE trips_older VALIDATE CONSTRAINT nulls;
ALTER TABLE trips ATTACH PARTITION trips_older FOR VALUES FROM ('2018-01-01') TO ('2019-01-01');
