"""The place of an error in a body, from PostgreSQL's context. The contexts are those of PostgreSQL 18."""

from __future__ import annotations

import pytest

from mosaic_deploy.sql.call_stack import body_syntax_error, locate_calls, parse_context
from mosaic_deploy.sql.parse import parse

F = """CREATE FUNCTION f(a int, b text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
  INSERT INTO nowhere
    VALUES (1);
  RETURN n;
END $$;
"""
IN_F = "PL/pgSQL function f(integer,text) line 4 at SQL statement"
NOWHERE = 'relation "nowhere" does not exist'

# name: (SQL, the failed statement from 0, context, message, what stands at the place)
CASES = {
    "a DO block": (
        "DO $$\nBEGIN\n  PERFORM 1;\n  RAISE EXCEPTION 'x';\nEND $$",
        *(0, "PL/pgSQL function inline_code_block line 4 at RAISE", "x", "RAISE EXCEPTION"),
    ),
    "a body that begins in the line of its quote": (
        "DO $$BEGIN\nRAISE EXCEPTION 'x';\nEND $$",
        *(0, "PL/pgSQL function inline_code_block line 2 at RAISE", "x", "RAISE EXCEPTION"),
    ),
    "a body in single quotes": (
        "SELECT 1; DO 'BEGIN\n RAISE EXCEPTION ''x''; END'",
        *(1, "PL/pgSQL function inline_code_block line 2 at RAISE", "x", "RAISE EXCEPTION"),
    ),
    "a body with escapes, whose lines aren't the file's": (
        "DO E'BEGIN\\n RAISE EXCEPTION ''x''; END'",
        *(0, "PL/pgSQL function inline_code_block line 2 at RAISE", "x", None),
    ),
    "a function called by a SELECT": (F + "SELECT f(1, 'a')", 1, IN_F, NOWHERE, "nowhere"),
    "a function called by a DO block: the innermost body": (
        F + "DO $$ BEGIN PERFORM f(1, 'x'); END $$",
        1,
        f'{IN_F}\nSQL statement "SELECT f(1, \'x\')"\nPL/pgSQL function inline_code_block line 1 at PERFORM',
        *(NOWHERE, "nowhere"),
    ),
    "a function of elsewhere called by a DO block": (
        "DO $$\nBEGIN\n  PERFORM f(1, 'x');\nEND $$",
        0,
        f'{IN_F}\nSQL statement "SELECT f(1, \'x\')"\nPL/pgSQL function inline_code_block line 3 at PERFORM',
        *(NOWHERE, "PERFORM f("),
    ),
    "a DO block inside another": (
        "DO $a$ BEGIN\n EXECUTE $b$ DO $$\nBEGIN\n\n SELECT nope FROM t; END $$ $b$; END $a$",
        0,
        'PL/pgSQL function inline_code_block line 4 at SQL statement\nSQL statement " DO $$\nBEGIN\n\n'
        ' SELECT nope FROM t; END $$ "\nPL/pgSQL function inline_code_block line 2 at EXECUTE',
        *('column "nope" does not exist', "nope FROM t"),
    ),
    "a procedure with a quoted name in a schema": (
        'CREATE PROCEDURE s."P q"(x int) LANGUAGE plpgsql AS $p$\nBEGIN\n  PERFORM g();\nEND $p$; CALL s."P q"(3)',
        *(1, 'PL/pgSQL function s."P q"(integer) line 3 at PERFORM', "x", "PERFORM g()"),
    ),
    "a trigger function": (
        "CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n RAISE EXCEPTION 'no';\nEND $$;"
        " INSERT INTO tt VALUES (1)",
        *(1, "PL/pgSQL function tr() line 3 at RAISE", "no", "RAISE EXCEPTION 'no'"),
    ),
    "an overloaded function: not known which": (
        F + F.replace("b text", "b int") + "SELECT f(1, 'a')", 2, IN_F, NOWHERE, None,
    ),
    "OUT parameters aren't in the signature": (
        "CREATE FUNCTION o(a int, OUT b int) LANGUAGE plpgsql AS $$\nBEGIN\n  b := 1/0;\nEND $$; SELECT o(1)",
        *(1, "PL/pgSQL function o(integer) line 3 at assignment", "division by zero", "b := 1/0"),
    ),
    "a function created after the statement": ("SELECT f(1, 'a');" + F, 0, IN_F, NOWHERE, None),
    "a line beyond the body": (F + "SELECT f(1, 'a')", 1, IN_F.replace("line 4", "line 40"), NOWHERE, None),
    "an SQL function": ("SELECT g()", 0, 'SQL function "g" statement 2', NOWHERE, None),
    "a variable's initial value": (
        "DO $$ DECLARE x int := 1/0; BEGIN END $$",
        0,
        'PL/pgSQL expression "1/0"\nPL/pgSQL function inline_code_block line 1 during statement block local '
        "variable initialization",
        *("division by zero", "DECLARE x"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "failed", "context", "message", "found"), CASES.values(), ids=CASES)
def test_the_place_in_a_body(sql, failed, context, message, found) -> None:
    stack = locate_calls(parse(sql), failed, parse_context(context), message)
    place = None if stack.offset is None else sql[stack.offset :]
    assert (place is None) == (found is None), place
    if found is not None:
        assert place is not None and place.startswith(found), place
    assert stack.calls == tuple(
        line for line in context.splitlines() if line.startswith(("PL/pgSQL f", "SQL f"))
    )


def test_other_lines_of_a_context_are_left_out() -> None:
    context = 'COPY t, line 1, column a: "x"\nSQL function "g" during inlining\nfunction of another language'
    assert [(frame.function, frame.line) for frame in parse_context(context)] == [("g", None)]


@pytest.mark.parametrize(
    ("sql", "message", "found"),
    [
        ("DO $$ BEGIN IF true THEN PERFORM 1; END $$", "syntax error at end of input", "$$"),
        ("DO $$\nBEGIN\n  SELEC 1;\nEND $$", 'syntax error at or near "SELEC"', "SELEC 1"),
        (
            "DO $$\nDECLARE x int;\nBEGIN\n  x := 1;\n  x = = 1;\nEND $$",
            'syntax error at or near "="',
            "= 1;\nEND",
        ),
        (
            "DO $$\nBEGIN\n  PERFORM f(1);\n  INSERT INTO a VALUES (1,);\n  RETURN;\nEND $$",
            *('syntax error at or near ")"', ");\n  RETURN"),
        ),
        (
            "DO $$\nBEGIN\n  LOOP\n    RAISE NOTICE 'x'\n  END LOOP;\nEND $$",
            'syntax error at or near "END"',
            "END LOOP",
        ),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN IF true THEN RETURN 1; ENDIF; END'",
            *('syntax error at or near "ENDIF"', "ENDIF"),
        ),
    ],
)
def test_syntax_errors_of_bodies_are_found_without_a_server(sql, message, found) -> None:
    [statement] = parse(sql)
    error = body_syntax_error(statement)
    assert error is not None
    assert error[0] == message
    assert sql[error[1] :].startswith(found)


@pytest.mark.parametrize(
    "sql",
    [
        "DO $$ DECLARE r my_type; BEGIN r.x := 1; unknown.y := 2; END $$",
        "CREATE FUNCTION f(a my_type) RETURNS my_type LANGUAGE plpgsql AS $$ BEGIN RETURN a; END $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELEC 1 $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS $$ return 1 $$",
        "DO LANGUAGE plpython3u $$ print(1) $$",
        "SELECT 1",
    ],
)
def test_what_only_the_server_can_judge_is_no_syntax_error(sql) -> None:
    [statement] = parse(sql)
    assert body_syntax_error(statement) is None
