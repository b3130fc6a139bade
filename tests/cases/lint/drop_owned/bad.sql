-- expect: 2:1 destructive drop_owned drops everything owned by the current role
DROP OWNED BY CURRENT_USER;
