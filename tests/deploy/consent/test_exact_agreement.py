"""A yes to measured effects allows what was shown, and no more: what a step does changes while the question is open."""

from __future__ import annotations

import pytest

from mosaic_deploy.model.effects import Effects
from mosaic_deploy.model.event import ApplyDone
from tests.sampling import sampled

LIVE = """
CREATE TABLE commands (place int, sql text); INSERT INTO commands VALUES (0, 'SELECT 1');
CREATE FUNCTION go() RETURNS void LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN
  FOR s IN SELECT sql FROM public.commands ORDER BY place LOOP EXECUTE s; END LOOP; END $$;
CREATE TABLE wide (id int, a int, b int, c int); INSERT INTO wide SELECT g, g, g, g FROM generate_series(1, 3) g;
CREATE TABLE kept (id int); INSERT INTO kept SELECT generate_series(1, 3);
CREATE TABLE more (id int); INSERT INTO more SELECT generate_series(1, 3);
CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE p(a int) LANGUAGE sql AS 'SELECT 1'; CREATE VIEW f AS SELECT 1 AS one;
"""
FILL = "INSERT INTO kept SELECT generate_series(1, 4901)"
DELETE_1_UPDATE_2 = "DELETE FROM kept WHERE id = 1; UPDATE kept SET id = 9 WHERE id > 1"

# What the first attempt does and is shown; what happens while the question is open; what the second question shows.
CHANGES = {
    "other columns are dropped": (
        "ALTER TABLE wide DROP a",
        "wide: drops column a",
        "ALTER TABLE wide DROP b, DROP c",
        "wide: drops column b, c",
    ),
    "another column gets another type": (
        "ALTER TABLE wide ALTER a TYPE text",
        "wide: rewrites the table (3 rows), changes the type of a",
        "ALTER TABLE wide ALTER id TYPE text",
        "wide: rewrites the table (3 rows), changes the type of id",
    ),
    "updates become deletes": (
        DELETE_1_UPDATE_2,
        "kept: deletes 1 row, updates 2 rows",
        "DELETE FROM kept",
        "kept: deletes 3 rows",
    ),
    "deletes become updates": (
        "DELETE FROM kept WHERE id > 1; UPDATE kept SET id = 9",
        "kept: deletes 2 rows, updates 1 row",
        DELETE_1_UPDATE_2,
        "kept: deletes 1 row, updates 2 rows",
    ),
    "more rows are emptied": (
        "TRUNCATE kept",
        "kept: empties it or replaces all its rows (3 rows)",
        f"{FILL};TRUNCATE kept",
        "kept: empties it or replaces all its rows (4,904 rows)",
    ),
    "a table with more rows is dropped": (
        "DROP TABLE kept",
        "kept: drops the table (3 rows)",
        f"{FILL};DROP TABLE kept",
        "kept: drops the table (4,904 rows)",
    ),
    "a rewrite loses the rows": (
        "ALTER TABLE kept ADD u uuid DEFAULT gen_random_uuid()",
        "kept: rewrites the table (3 rows)",
        "TRUNCATE kept",
        "kept: empties it or replaces all its rows (3 rows)",
    ),
    "another table is emptied as well": (
        "TRUNCATE kept",
        "kept: empties it or replaces all its rows (3 rows)",
        "TRUNCATE kept, more",
        "more: empties it or replaces all its rows (3 rows)",
    ),
    "a function with other arguments is dropped": (
        "DROP FUNCTION f(int)",
        "drops function f(a integer)",
        "DROP FUNCTION f(text)",
        "drops function f(a text)",
    ),
    "an object of another kind is dropped": (
        "DROP FUNCTION f(int)",
        "drops function f(a integer)",
        "DROP VIEW f",
        "drops view f",
    ),
}


@pytest.mark.parametrize("name", sampled(CHANGES, 2))
def test_what_exceeds_the_answer_is_asked_again(site, name):
    first, shown, changed, shown_again = CHANGES[name]
    filling, _, command = changed.rpartition(";") if changed.startswith(FILL) else ("", "", changed)
    site.deploy_sql(LIVE)
    site.sql(f"UPDATE commands SET sql = '{first}'")
    site.write("sql/2_more.sql", "SELECT go();")
    questions: list[tuple[str, ...]] = []

    def ask(_file: str, effects: Effects) -> bool:
        questions.append(effects.texts)
        if len(questions) == 1:
            site.sql(f"UPDATE commands SET sql = '{command}'; {filling}")
        return len(questions) == 1

    failed = site.fails(ask=ask)
    assert questions == [(shown,), (shown_again,)]
    assert failed.error.code == "effects_exceed_consent"
    assert shown_again in failed.error.message
    assert approved(site) == []


@pytest.mark.parametrize("command", ["TRUNCATE kept", "DROP TABLE kept", "DELETE FROM kept", "DROP VIEW f"])
def test_what_was_shown_or_less_is_done(site, command):
    site.deploy_sql(LIVE)
    site.sql(f"UPDATE commands SET sql = '{command}'")
    site.write("sql/2_more.sql", "SELECT go();")
    questions: list[tuple[str, ...]] = []

    def ask(_file: str, effects: Effects) -> bool:
        questions.append(effects.texts)
        site.sql("DELETE FROM kept WHERE id = 1")
        return True

    assert isinstance(site.run(ask=ask)[-1], ApplyDone)
    assert len(questions) == 1


def test_the_history_has_what_the_last_answers_allow(site):
    site.deploy_sql(LIVE)
    site.sql("UPDATE commands SET sql = 'DELETE FROM kept'; INSERT INTO commands VALUES (1, 'TRUNCATE more')")
    site.write("sql/2_more.sql", "SELECT go();")
    questions: list[tuple[str, ...]] = []

    def ask(_file: str, effects: Effects) -> bool:
        questions.append(effects.texts)
        if len(questions) == 1:
            site.sql("INSERT INTO kept VALUES (4)")
        return True

    assert isinstance(site.run(ask=ask)[-1], ApplyDone)
    assert questions[1:] == [("kept: deletes 4 rows",)]
    emptied = "more: empties it or replaces all its rows (3 rows)"
    assert approved(site) == [f"2_more.sql: kept: deletes 4 rows; {emptied}"]


@pytest.mark.parametrize(
    "text", ["SAVEPOINT a; SELECT go(); RELEASE a;", "INSERT INTO kept VALUES (7); SELECT go();"]
)
@pytest.mark.parametrize("single", [False, True])
def test_rows_are_counted_in_every_kind_of_transaction(site, text, single):
    """In one transaction with the migration before, the rows that this one adds count, and are asked about."""
    site.deploy_sql(LIVE)
    site.manifest(database={"migrations": "sql", "transaction": "all" if single else "each"})
    site.sql("UPDATE commands SET sql = 'TRUNCATE kept'")
    site.write("sql/2_more.sql", "INSERT INTO kept VALUES (5), (6);")
    site.write("sql/3_more.sql", text)
    questions: list[tuple[str, ...]] = []

    def ask(_file: str, effects: Effects) -> bool:
        questions.append(effects.texts)
        return True

    last = site.run(ask=ask)[-1]
    assert isinstance(last, ApplyDone), last.error
    rows = [question[0].rpartition("(")[2].partition(" row")[0] for question in questions]
    assert rows == (["3", "5"] if single else ["5"])


@pytest.mark.parametrize(
    ("meanwhile", "command", "shown"),
    [
        ("INSERT INTO inbox VALUES (1), (2)", "DELETE FROM inbox", "inbox: deletes 2 rows"),
        (
            "ALTER TABLE wide ADD d int; UPDATE wide SET d = 1",
            "ALTER TABLE wide DROP d",
            "wide: drops column d",
        ),
        ("CREATE VIEW theirs AS SELECT 1", "DROP VIEW theirs", "drops view theirs"),
    ],
)
def test_what_others_add_while_the_question_is_open_is_not_the_runs_own(site, meanwhile, command, shown):
    site.deploy_sql(f"{LIVE} CREATE TABLE inbox (id int);")
    site.sql("UPDATE commands SET sql = 'DELETE FROM kept WHERE id = 1'")
    site.write("sql/2_own.sql", "CREATE TABLE own AS SELECT 1 AS one; CREATE VIEW own_view AS SELECT 1;")
    site.write("sql/3_more.sql", "SELECT go(); DROP TABLE own; DROP VIEW own_view;")
    questions: list[tuple[str, ...]] = []

    def ask(_file: str, effects: Effects) -> bool:
        questions.append(effects.texts)
        if len(questions) == 1:
            site.sql(f"{meanwhile}; INSERT INTO commands VALUES (1, '{command}')")
        return True

    assert isinstance(site.run(ask=ask)[-1], ApplyDone)
    assert questions == [("kept: deletes 1 row",), (shown,)]


def approved(site) -> list[str]:
    """The effects of the newest deploy's approval, as the history has it."""
    [row] = site.sql(
        "SELECT report #> '{approval,approved}' AS approved FROM mosaic_deploy.deploys ORDER BY started_at DESC LIMIT 1"
    )
    return [each["effect"] for each in row["approved"] or ()]
