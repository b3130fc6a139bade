"""Migration summaries."""

from __future__ import annotations

import pytest

from mosaic_deploy.sql.describe import describe_statements
from mosaic_deploy.sql.parse import parse

CASES = {
    "": "",
    "-- nothing": "",
    "create table orders (id int); create index on orders (id); create index i on orders (id)": (
        "creates table orders, 2 indexes"
    ),
    "create table a (); create table b (); alter table users add column x int; alter table users drop column y": (
        "creates tables a, b; alters users; drops column users.y"
    ),
    "drop table s.a, b; drop index i, j; drop function f(int); drop type t": (
        "drops tables s.a, b, 2 indexes, function f, type t"
    ),
    "create table a(); create table b(); create table c(); create table d()": "creates 4 tables",
    "create or replace function f() returns int language sql as 'select 1'": "replaces function f",
    "insert into plans values (1); update plans set id = 2; delete from plans": (
        "inserts into plans; updates plans; deletes from plans"
    ),
    "alter table a rename to b; alter table b rename column x to y": "renames table a to b, column b.x to y",
    "alter index i rename to j; alter table a rename constraint c to d; alter type t rename to u": (
        "renames 1 index, constraint c on a to d, type t to u"
    ),
    "alter function f() rename to g; alter schema s rename to r; alter domain d rename to e": (
        "renames function f to g, schema s to r, domain d to e"
    ),
    "alter type mood add value 'x'; create type mood as enum ('a')": "alters type mood; creates type mood",
    "truncate a, b": "empties a, b",
    "select 1; do $$ begin end $$": "runs 2 statements",
    "create view v as select 1; select 1": "creates view v; 1 other statement",
    "create extension if not exists vector; create schema app; create policy p on t": (
        "creates extension vector, schema app, 1 policy"
    ),
    "select 1 as x into copied": "runs 1 statement",
    "create materialized view m as select 1": "creates materialized view m",
}


@pytest.mark.parametrize(("sql", "words"), CASES.items(), ids=[sql[:40] for sql in CASES])
def test_summaries(sql: str, words: str) -> None:
    assert describe_statements(parse(sql)) == words
