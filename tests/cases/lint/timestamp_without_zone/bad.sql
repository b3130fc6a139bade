-- expect: 2:28 advice timestamp_without_zone visits: began, ended are timestamp without time zone: what instant it means isn't kept
CREATE TABLE visits (began timestamp, ended timestamp(3));
