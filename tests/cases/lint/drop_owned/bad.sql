-- expect: 2:1 destructive drop_owned drops everything that the current role owns
DROP OWNED BY CURRENT_USER;
