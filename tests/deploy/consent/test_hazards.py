"""Hazards and policy with facts about the live database, on the real platform."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mosaic_deploy.errors import PolicyDenied
from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.rules.lossy_casts import cast_loss
from mosaic_deploy.sql.hazards.syntax import types
from mosaic_deploy.sql.hazards.syntax.functions import BUILTIN_FUNCTIONS, STABLE_FUNCTIONS
from mosaic_deploy.sql.quote import recordset
from tests.deploy.conftest import Site
from tests.sampling import sampled

CASES = Path(__file__).parents[2] / "cases" / "lint"
CODES = sorted(path.name for path in CASES.iterdir() if path.is_dir())
COMMENTS = {"ignore_unknown", "ignore_unused", "ignore_without_reason"}
# These depend on whether the object exists in the database.
ABSENT = {"drop_extension"}
PROTECTED = re.compile(r"^-- protected: (.*)$", re.MULTILINE)


def live(site: Site, text: str, **sections: object) -> None:
    """Applies a first migration with this text."""
    site.write("sql/1_live.sql", text)
    site.manifest(database={"migrations": "sql"}, **sections)
    site.apply()


def hazards(site: Site) -> list[tuple[str, str]]:
    return [(h.code, h.message) for h in site.plan().plan.hazards if not h.ignored]


@pytest.fixture
def shop(site: Site) -> Site:
    live(site, (CASES / "setup.sql").read_text())
    return site


def write_case(site: Site, text: str) -> None:
    """The case's file and policy."""
    site.write("sql/2_case.sql", text)
    found = PROTECTED.search(text)
    policy = {"destructive": "allow", "protected_tables": found.group(1).split(", ")} if found else {}
    site.manifest(database={"migrations": "sql"}, policy=policy)


@pytest.mark.parametrize("code", sampled(CODES, 4))
def test_cases_without_hazards_can_be_applied(shop: Site, code: str) -> None:
    write_case(shop, (CASES / code / "good.sql").read_text())
    shop.apply()


def test_cases_without_hazards_have_none(shop: Site) -> None:
    for code in CODES:
        write_case(shop, (CASES / code / "good.sql").read_text())
        assert hazards(shop) == [], code


def test_cases_with_hazards_are_found(shop: Site) -> None:
    shop.sql("insert into trips_old (day) values ('2020-02-02')")
    shop.sql("insert into trips_older (day) values ('2018-02-02')")
    shop.sql("select nextval('ticket_numbers')")
    for code in sorted(set(CODES) - COMMENTS - ABSENT):
        write_case(shop, (CASES / code / "bad.sql").read_text())
        assert code in {found for found, _ in hazards(shop)}, code


def test_a_plan_queries_the_database_only_for_hazards(site: Site) -> None:
    live(site, "create table orders (id bigint primary key);")

    def requests() -> int:
        before = site.api.traffic.requests
        site.plan()
        return site.api.traffic.requests - before

    nothing = requests()
    assert nothing <= 4
    site.write("sql/2_next.sql", "create table items (id bigint primary key); insert into items values (1);")
    assert requests() == nothing
    site.write("sql/2_next.sql", "drop table orders; drop table if exists others;")
    assert requests() == nothing + 1


def test_row_estimates_are_shown(site: Site) -> None:
    live(
        site,
        "create table orders as select g as id from generate_series(1, 12345) g;\n"
        "create table days (day int) partition by range (day);\n"
        "create table days_1 partition of days for values from (0) to (100);\n"
        "insert into days select 7 from generate_series(1, 500);\n"
        "analyze orders; analyze days_1;",
    )
    site.write("sql/2_drop.sql", "drop table orders;\ntruncate public.days;")
    assert hazards(site) == [
        ("drop_table", "drops table orders (≈12.3 k rows)"),
        ("truncate", "empties table public.days (≈500 rows)"),
    ]


def test_only_a_sequence_in_use_can_be_moved_back(site: Site) -> None:
    live(
        site,
        """create table orders (id bigint generated always as identity, "No" serial, note text);
        create sequence fresh; create sequence counted; create sequence down increment -1;
        insert into orders (note) select 'x' from generate_series(1, 500);
        select nextval('counted'), nextval('down'), nextval('down');""",
    )
    harmless = (
        "alter sequence fresh restart with 1; select setval('fresh', 1);",
        "alter table orders alter id restart with 501; alter sequence counted restart with 2;",
        "select setval('counted', 1); select setval('orders_id_seq', 500), setval('public.\"orders_No_seq\"', 501, false);",
        "select setval(pg_get_serial_sequence('orders', 'No'), 500); select setval('down', -9);",
        "select setval('orders_id_seq', (select max(id) from orders));",
    )
    site.write("sql/2_move.sql", "\n".join(harmless))
    assert hazards(site) == []
    after = ": rows may have the next values already"
    cases = {
        "alter table orders alter id restart;": f"moves the sequence of orders.id (its last value is 500){after}",
        "alter sequence orders_id_seq restart with 500;": f"moves sequence orders_id_seq to 500 (its last value is 500){after}",
        "select setval('orders_id_seq', 498);": f"moves sequence orders_id_seq to 499 (its last value is 500){after}",
        "select setval(pg_get_serial_sequence('public.orders', 'No'), 1, false);": f'moves the sequence of public.orders."No" to 1 (its last value is 500){after}',
        "select setval('counted', (select min(id) from orders));": f"moves sequence counted (its last value is 1){after}",
        "alter sequence down restart with -1;": f"moves sequence down to -1 (its last value is -2){after}",
    }
    site.write("sql/2_move.sql", "\n".join(cases))
    assert hazards(site) == [("sequence_moved_back", text) for text in cases.values()]
    assert {one.severity for one in site.plan().plan.to_confirm} == {HazardSeverity.DESTRUCTIVE}
    # A rehearsal has no live rows, and setval isn't rolled back: the plan asks before anything runs.
    site.write("sql/2_move.sql", "alter table orders set unlogged;")
    [(code, _)] = hazards(site)
    assert code == "set_unlogged"


def test_missing_objects_are_no_hazard(site: Site) -> None:
    text = "drop table if exists a; drop schema if exists b cascade; drop type if exists c cascade;"
    dynamic = "do $$ declare x text := random()::text; begin execute 'drop table ' || x; exception when others then null; end $$;"
    site.write("sql/1_first.sql", text + dynamic)
    site.manifest(database={"migrations": "sql"}, policy={"destructive": "deny"})
    assert [h.severity for h in site.plan().plan.hazards] == [HazardSeverity.ADVICE]
    site.apply()
    site.write("sql/2_second.sql", "drop table if exists nowhere; create table nowhere (id int);")
    assert hazards(site) == []


@pytest.mark.parametrize(
    "text",
    [
        "alter table orders rename to x; drop table x;",
        "alter table orders set schema attic; drop table attic.orders;",
        "alter table orders rename to x; create table orders (id int); drop table x;",
        "create table orders2 (id int); drop table orders2; alter table orders rename to orders2; drop table orders2;",
        "create table if not exists orders (id int); drop table orders;",
        "do $$ begin if false then create table orders (id int); end if; end $$; drop table orders;",
        "do $$ begin if false then alter table orders rename to x; end if; end $$; drop table orders;",
        "savepoint a; alter table orders rename to x; rollback to a; drop table orders;",
        "savepoint a; drop table orders; rollback to a; drop table orders;",
        "create temp table orders (id int); drop table orders; drop table orders;",
        "set search_path = attic, public; drop table orders;",
        "set search_path = attic; drop table public.orders;",
        "select set_config('search_path', 'attic,public', false); drop table orders;",
        "alter schema public rename to p; drop table p.orders;",
        "with gone as (delete from orders returning id) select count(*) from gone;",
        "do $$ begin execute 'drop table orders'; end $$;",
        "drop schema public cascade;",
        "drop owned by current_user;",
        "explain analyze delete from orders;",
    ],
)
def test_a_protected_table_is_found_under_any_name(site: Site, text: str) -> None:
    live(site, "create schema attic; create table orders (id int); insert into orders values (1);")
    site.write("sql/2_trick.sql", f"-- mosaic-ignore: drop_table trust me\n{text}")
    site.manifest(
        database={"migrations": "sql"}, policy={"destructive": "allow", "protected_tables": ["orders"]}
    )
    plan = site.plan().plan
    assert [problem.field for problem in plan.denied][:1] == ["policy.protected_tables"]
    failed = site.fails()
    assert isinstance(failed.error, PolicyDenied)
    assert site.sql("select count(*)::int as n from orders") == [{"n": 1}]


def test_a_policy_by_environment(site: Site) -> None:
    live(
        site,
        "create table orders (id int); create table others (id int); insert into others values (1);",
        policy={"destructive": "deny"},
    )
    site.write("sql/2_drop.sql", "drop table others;")
    plan = site.plan().plan
    assert [str(p) for p in plan.denied] == [
        "sql/2_drop.sql:1:1 policy.destructive: drops table others; change the statement, or set policy.destructive to confirm"
    ]
    site.manifest(database={"migrations": "sql"})
    plan = site.plan().plan
    assert (plan.denied, [h.code for h in plan.to_confirm]) == ((), ["drop_table"])
    site.manifest(database={"migrations": "sql"}, policy={"destructive": "allow"})
    plan = site.plan().plan
    assert (plan.denied, plan.to_confirm) == ((), ())
    site.apply()


def test_max_deletes(site: Site) -> None:
    for name in ("a.html", "b.html", "index.html"):
        site.write(f"public/{name}", name)
    static = {"dir": "public", "prune": True, "keep": 0}
    site.manifest(static=static, policy={"max_deletes": 1})
    site.apply()
    (site.root / "public/a.html").unlink()
    (site.root / "public/b.html").unlink()
    [problem] = site.plan().plan.denied
    assert problem.message == "would delete 2 files; the limit is 1"
    assert problem.hint == "restore the files, or raise policy.max_deletes to 2"
    assert problem.location.line is not None
    site.fails()
    site.manifest(static=static, policy={"max_deletes": 2})
    site.apply()


def test_objects_created_by_a_resumed_file_are_no_hazard(site: Site) -> None:
    live(site, "create table orders (id bigint primary key);")
    text = (
        "create table items (id bigint); create index concurrently i on items (lower(id)); drop table items;"
    )
    site.write("sql/2_parts.sql", text)
    site.fails()
    site.write("sql/2_parts.sql", text.replace("lower(id)", "id"))
    assert hazards(site) == []
    site.apply()


TYPES = [
    "varchar(5)", "varchar(9)", "varchar", "text", "char(9)", "integer", "bigint", "numeric(5,2)", "numeric(9,2)",
    "numeric(9,3)", "numeric", "timestamp(3)", "timestamp", "timestamptz(3)", "timestamptz", "time(3)", "time",
    "varbit(5)", "varbit(9)", "varbit", "cidr", "inet", "json", "jsonb", "varchar(5)[]", "text[]",
]  # fmt: skip


def test_types_that_rewrite(site: Site) -> None:
    """For every pair of types without a hazard, the table isn't rewritten."""
    live(
        site,
        "create function file() returns oid language sql as $$ select relfilenode from pg_class where relname = 'r' $$;",
    )
    safe = [
        (old, new)
        for old in TYPES
        for new in TYPES
        if old != new and not types.rewrites_table(types.type_from_text(old), types.type_from_text(new))
    ]
    assert len(safe) >= 18
    for old, new in safe:
        site.sql(
            f"do $$ declare before oid; begin create table r (c {old}); before := file(); "
            f"alter table r alter c type {new}; "
            f"if file() <> before then raise exception '{old} to {new} rewrites'; end if; drop table r; end $$"
        )


VALUES = {
    "varchar(5)": ["abc", "abcde"], "varchar(2)": ["ab"], "text": ["abc", "abcdefgh" * 12], "char(9)": ["abcdefghi"],
    "name": ["abc"], "integer": ["7", "-123456789"], "bigint": ["7", "9007199254740993"], "numeric": ["1.5", "12345678901234567.25"],
    "numeric(9,2)": ["1.25"], "numeric(9,4)": ["1.2345"], "real": ["1.5"], "double precision": ["1.123456789012345", "1e300"],
    "timestamp": ["2026-01-02 03:04:05.678901"], "timestamp(0)": ["2026-01-02 03:04:05"],
    "timestamptz": ["2026-01-02 03:04:05.678901+00"], "time": ["03:04:05.678901"], "time(3)": ["03:04:05.678"],
    "date": ["2026-01-02"], "interval": ["3 days 04:05:06.789"], "inet": ["10.0.0.1/8"], "cidr": ["10.0.0.0/8"],
    "bit(4)": ["1011"], "varbit(9)": ["101101101"], "varbit": ["1"], "boolean": ["true"],
}  # fmt: skip


def test_types_that_lose_values(site: Site) -> None:
    """For every pair of types without a hazard, values survive or the cast fails, by assignment and by explicit cast."""
    live(
        site,
        "create function same(old text, new text, value text, by_hand bool) returns bool language plpgsql as $$\n"
        "declare before text; after text; begin\n"
        "  execute format('create temp table r (c %s) on commit drop', old);\n"
        "  execute format('insert into r values (%L)', value);\n"
        "  select c::text into before from r;\n"
        "  execute format('alter table r alter c type %s%s', new, case when by_hand then ' using c::' || new end);\n"
        "  execute format('alter table r alter c type %s using c::%s', old, old);\n"
        "  select c::text into after from r; drop table r; return before = after;\n"
        "exception when others then return null; end $$;",
    )
    asked = [
        {"old": old, "new": new, "value": value, "by_hand": by_hand}
        for old in VALUES
        for new in VALUES
        for value in VALUES[old]
        for by_hand in (False, True)
        if not cast_loss(types.type_from_text(old), types.type_from_text(new), explicit=by_hand)
    ]
    found = site.sql(
        "select old, new, value, by_hand, same(old, new, value, by_hand) as same "
        f"from {recordset(asked, 'old text, new text, value text, by_hand bool')}"
    )
    assert [tuple(row.values()) for row in found if row["same"] is False] == []
    assert sum(row["same"] is True for row in found) > 60


def test_functions_listed_as_stable_are(site: Site) -> None:
    live(site, "create extension if not exists pg_trgm;")
    rows = site.sql("select proname::text as name from pg_proc where provolatile = 'v'")
    assert {row["name"] for row in rows} & STABLE_FUNCTIONS == set()


def test_functions_listed_as_volatile_are_built_in(site: Site) -> None:
    live(site, "create table any_table (id int);")
    rows = site.sql(
        "select distinct proname::text as name from pg_proc where pronamespace = 'pg_catalog'::regnamespace"
    )
    assert {row["name"] for row in rows} >= BUILTIN_FUNCTIONS - STABLE_FUNCTIONS


def test_a_constant_default_does_not_rewrite_the_table(site: Site) -> None:
    live(site, "create table r (id int); insert into r values (1);")
    read = "select pg_relation_filenode('r')::text as file"
    before = site.sql(read)
    site.write("sql/2_column.sql", "alter table r add column at timestamptz not null default now();")
    assert hazards(site) == []
    site.apply()
    assert site.sql(read) == before


def test_a_domain_rewrites_the_table_only_with_a_constraint(site: Site) -> None:
    live(
        site,
        "create table r (id int); insert into r values (1); create domain d as int; create domain c as int check (value > 0);",
    )
    read = "select pg_relation_filenode('r')::text as file"
    before = site.sql(read)
    site.write("sql/2_column.sql", "alter table r add column a d;")
    assert hazards(site) == []
    site.apply()
    assert site.sql(read) == before
    site.write("sql/3_column.sql", "alter table r add column b c;")
    assert [code for code, _ in hazards(site)] == ["add_column_rewrites"]
    site.apply()
    assert site.sql(read) != before
