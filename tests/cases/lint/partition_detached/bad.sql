-- expect: 2:1 risky partition_detached detaches trips_2025 from trips: its rows are no longer part of the table
ALTER TABLE trips DETACH PARTITION trips_2025;
