"""What a step's session starts with, after the statements of the steps before it."""

from __future__ import annotations

import pytest

from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.session.assignments import assignments
from mosaic_deploy.sql.session.leftovers import leftovers
from mosaic_deploy.sql.session.state import NEW_SESSION, SessionState, TransactionState
from mosaic_deploy.sql.session.temporary import temporary_names


def after(sql: str) -> SessionState:
    """The session after statements outside a transaction."""
    state = NEW_SESSION
    for statement in parse(sql):
        for one in assignments(statement):
            state = state.after(one)
    return state


def committed(sql: str) -> tuple[str, ...]:
    """The session's statements after a transaction with `sql`."""
    state = TransactionState.begun_in(NEW_SESSION)
    for statement in parse(sql):
        state = state.after(statement)
    return state.kept.statements


SESSIONS = {
    "": [],
    "set a.x = 1": ["set a.x = 1"],
    "set a.x = 1; set a.x = 2": ["set a.x = 2"],
    "set a.x = 1; set a.y = 1; set a.x = 2": ["set a.y = 1", "set a.x = 2"],
    "set a.x = 1; reset a.x": [],
    "set a.x = 1; set a.x to default": [],
    "set a.x = 1; reset all": [],
    "set a.x = 1; discard all": [],
    "set a.x = 1; discard temp": ["set a.x = 1"],
    "set a.x = 1; discard plans": ["set a.x = 1"],
    "set role r; set a.x = 1": ["set role r", "set a.x = 1"],
    "set a.x = 1; set role r; set a.x = 2": ["set a.x = 1", "set role r", "set a.x = 2"],
    "set role r; set a.x = 1; set a.x = 2": ["set role r", "set a.x = 2"],
    "set role r; reset a.x": ["set role r"],
    "set role r; reset all": ["set role r", "reset all"],
    "set role r; reset all; reset a.x": ["set role r", "reset all", "reset a.x"],
    "set role r; discard all": [],
    "set session characteristics as transaction read only": ["SET default_transaction_read_only = 'on'"],
    "set session characteristics as transaction read write": ["SET default_transaction_read_only = 'off'"],
    "set session characteristics as transaction isolation level serializable": [
        "SET default_transaction_isolation = 'serializable'"
    ],
}


@pytest.mark.parametrize("sql", SESSIONS)
def test_the_statements_of_the_next_session(sql: str) -> None:
    assert list(after(sql).statements) == SESSIONS[sql]


TRANSACTIONS = {
    "set a.x = 1": ("set a.x = 1",),
    "set local a.x = 1": (),
    "set a.x = 1; set local a.x = 2": ("set a.x = 1",),
    "savepoint a; set a.x = 1; rollback to a": (),
    "savepoint a; set a.x = 1; release a": ("set a.x = 1",),
    "savepoint a; set a.x = 1; savepoint a; set a.x = 2; rollback to a": ("set a.x = 1",),
    "savepoint a; set a.x = 1; savepoint a; set a.x = 2; release a; rollback to a": (),
    "savepoint a; set a.x = 1; rollback to a; set a.x = 2; rollback to a": (),
    "savepoint a; set a.x = 1; savepoint b; rollback to a; rollback to b": (),
}


@pytest.mark.parametrize("sql", TRANSACTIONS)
def test_the_session_after_a_transaction(sql: str) -> None:
    assert committed(sql) == TRANSACTIONS[sql]


PATHS: dict[str, tuple[str, ...] | None] = {
    "set a.x = 1": None,
    'set search_path = a, "B", C': ("a", "B", "c"),
    "set search_path = a; reset all": None,
    "set role r; set search_path = a; reset all": None,
    "set search_path = a; set role r; reset search_path": None,
    "select set_config('search_path', 'app, \"Other\", Third', false)": ("app", "Other", "third"),
    "select pg_catalog.set_config('search_path', 'app', false)": ("app",),
    "select app.set_config('search_path', 'app', false)": None,
    "select set_config('search_path', 'app', false) where false": None,
}


@pytest.mark.parametrize("sql", PATHS)
def test_the_search_path(sql: str) -> None:
    assert after(sql).search_path == PATHS[sql]


def test_a_role_outlasts_reset_all() -> None:
    assert after("set role r; reset all").of("role") is not None
    assert after("set role r; set a.x = 1; reset all").of("a.x") is None
    assert after("set role r; reset role").of("role") is None


@pytest.mark.parametrize("name", ["statement_timeout", "transaction_timeout", "lock_timeout"])
def test_limits_that_a_block_cannot_set(name: str) -> None:
    assert after(f"set {name} = '1s'").has_time_limit is (name != "lock_timeout")


LEFT = {
    "prepare p as select 1": ['DEALLOCATE "p"'],
    "prepare p as select 1; deallocate p": [],
    "prepare p as select 1; prepare q as select 1; deallocate p": ['DEALLOCATE "q"'],
    "prepare p as select 1; deallocate all": [],
    "listen l": ['UNLISTEN "l"'],
    "listen l; unlisten *": [],
    "declare c cursor for select 1": [],
    "declare c cursor with hold for select 1": ['CLOSE "c"'],
    "declare c cursor with hold for select 1; close all": [],
    "select pg_advisory_lock(1)": ["SELECT pg_catalog.pg_advisory_unlock_all()"],
    "select pg_try_advisory_lock_shared(1)": ["SELECT pg_catalog.pg_advisory_unlock_all()"],
    "select pg_advisory_lock(1); select pg_advisory_lock(2); select pg_advisory_unlock(1)": [
        "SELECT pg_catalog.pg_advisory_unlock_all()"
    ],
    "select pg_advisory_unlock_all()": [],
    "select pg_advisory_xact_lock(1)": [],
    "select 'prepare'": [],
}


@pytest.mark.parametrize("sql", LEFT)
def test_what_is_undone_at_the_end_of_a_step(sql: str) -> None:
    assert list(leftovers(parse(sql))) == LEFT[sql]


TEMPORARY = {
    "create table t (id int)": set(),
    "create temp table t (id int)": {"t"},
    "create table pg_temp.t (id int)": {"t"},
    "create temp table t (id int) on commit drop": set(),
    "create temp table t on commit drop as select 1": set(),
    "create temp table t on commit delete rows as select 1": {"t"},
    "select 1 into temp t": {"t"},
    "create temp view v as select 1; create temp sequence s": {"v", "s"},
    "create temp table t (id int); drop table t": set(),
    "create temp table t (id int); drop table pg_temp.t": set(),
    "create temp table t (id int); drop table public.t": {"t"},
    "create temp table t (id int); discard temp": set(),
    "create temp table t (id int); discard all": set(),
    "create temp table t (id int); discard plans": {"t"},
    "create function pg_temp.f() returns int language sql as 'select 1'": {"f"},
    "create function f() returns int language sql as 'select 1'": set(),
    'do $$ begin create temporary table "A b" (id int); end $$': {"A b"},
    "do $$ begin create temp table T (id int) on commit drop; end $$": set(),
}


@pytest.mark.parametrize("sql", TEMPORARY)
def test_temporary_objects_after_a_step(sql: str) -> None:
    assert temporary_names(parse(sql)) == TEMPORARY[sql]
