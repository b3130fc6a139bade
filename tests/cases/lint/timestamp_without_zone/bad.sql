-- expect: 2:28 advice timestamp_without_zone columns began, ended of visits are timestamp without time zone, which doesn't identify an instant
CREATE TABLE visits (began timestamp, ended timestamp(3));
