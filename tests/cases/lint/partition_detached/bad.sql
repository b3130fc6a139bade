-- expect: 2:1 risky partition_detached takes the rows of trips_2025 out of trips
ALTER TABLE trips DETACH PARTITION trips_2025;
