"""`migrate import` from each tool on the real platform.

Tables and rows are those that the tools' own programs made for these files: Drizzle, Supabase, node-pg-migrate, graphile-migrate, sqitch,
Liquibase, Alembic and Django; of the others, their own statements.
"""

from __future__ import annotations

import hashlib
import shutil
import zlib
from dataclasses import dataclass, field

import pytest

from mosaic_deploy.deploy.history.adopt import IMPORT, plan_import
from mosaic_deploy.errors import HistoryImportRefused
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.projects import wait_until_running
from mosaic_deploy.model.other_tools.tools import TOOLS
from mosaic_deploy.model.snapshot import Project
from tests.deploy.histories import known, pending, sql, write

A, B, C, D = (f"create table {name} (id int);\n" for name in "abcd")
SHA384 = hashlib.sha384(A.encode()).hexdigest()
CRC = zlib.crc32(A.strip().encode())


@dataclass
class Case:
    """A tool's table with its rows, a folder, and the files of it that the tool has applied.

    `edited` is a file whose edit the import finds; `{}` in a folder is a tool's path.
    """

    table: str
    files: dict[str, str]
    applied: list[str]
    edited: str = ""
    notes: list[str] = field(default_factory=list)


CASES = {
    "flyway": Case(
        'CREATE TABLE "flyway_schema_history" ("installed_rank" INT NOT NULL PRIMARY KEY, "version" VARCHAR(50), '
        '"description" VARCHAR(200) NOT NULL, "type" VARCHAR(20) NOT NULL, "script" VARCHAR(1000) NOT NULL, '
        '"checksum" INTEGER, "installed_by" VARCHAR(100) NOT NULL, "installed_on" TIMESTAMP NOT NULL DEFAULT now(), '
        '"execution_time" INTEGER NOT NULL, "success" BOOLEAN NOT NULL);'
        "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, checksum, installed_by, "
        "execution_time, success) VALUES (0, NULL, 'x', 'SCHEMA', '\"public\"', NULL, 'u', 0, true), "
        f"(1, '1', 'a', 'SQL', 'V1__a.sql', {CRC - (1 << 32) if CRC >> 31 else CRC}, 'u', 1, true), "
        "(2, '1.2', 'b', 'SQL', 'sub/V1_2__b.sql', NULL, 'u', 1, true), (3, NULL, 'v', 'SQL', 'R__v.sql', 1, 'u', 1, true), "
        "(4, '3', 'gone', 'SQL', 'V3__gone.sql', 1, 'u', 1, true), (5, '3', 'gone', 'DELETE', 'V3__gone.sql', 1, 'u', 0, true)",
        {"V1__a.sql": A, "sub/V1_2__b.sql": B, "V2__c.sql": D, "R__v.sql": "create or replace view v as select 1;"},
        ["V1__a.sql", "sub/V1_2__b.sql"],
        "V1__a.sql",
        ["import_repeatable"],
    ),
    "prisma": Case(
        "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, "
        "finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ, "
        "started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0);"
        "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, rolled_back_at) VALUES "
        f"('1', '{hashlib.sha256(A.encode()).hexdigest()}', '20240101000000_a', now(), NULL), "
        "('2', 'x', '20240102000000_b', NULL, now()), ('3', 'x', '20240103000000_deleted', NULL, now())",
        {"migration_lock.toml": 'provider = "postgresql"', "20240101000000_a/migration.sql": A, "20240102000000_b/migration.sql": B},
        ["20240101000000_a/migration.sql"],
        "20240101000000_a/migration.sql",
    ),
    "drizzle": Case(
        "CREATE SCHEMA drizzle; CREATE TABLE drizzle.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint);"
        "INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES "
        "('f942135d9c1a4ac684b96b2b16474fd547275256b5380d28c798da7b30cfee21', 1700000000000), "
        "('864e46311d4eb58cf163ae4b091f38ad373c591fda23f3dd286d68b9fa9d3a09', 1700000000500)",
        {
            "meta/_journal.json": '{"version":"7","dialect":"postgresql","entries":[{"idx":0,"when":1700000000000,"tag":"0000_init"},'
            '{"idx":1,"when":1700000000500,"tag":"0000_again"},{"idx":2,"when":1700000000900,"tag":"0001_later"}]}',
            "0000_init.sql": 'CREATE TABLE "a" (id int);\n--> statement-breakpoint\nCREATE TABLE "b" (id int);\n',
            "0000_again.sql": "CREATE TABLE c (id int);",
            "0001_later.sql": D,
        },
        ["0000_init.sql", "0000_again.sql"],
        "0000_again.sql",
    ),
    "sqlx": Case(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL "
        "DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL);"
        f"INSERT INTO _sqlx_migrations VALUES (20240101, 'add a', now(), true, '\\x{SHA384}', 1)",
        {"20240101_add_a.up.sql": A, "20240101_add_a.down.sql": "drop table a;", "20240102_b.up.sql": B},
        ["20240101_add_a.up.sql"],
        "20240101_add_a.up.sql",
    ),
    "supabase": Case(
        "CREATE SCHEMA supabase_migrations; CREATE TABLE supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY, "
        "statements text[], name text);"
        "INSERT INTO supabase_migrations.schema_migrations VALUES ('20240101000000', "
        "ARRAY[E'-- leading comment; with semicolon\\ncreate table a (id int)', "
        "E'-- behind\\n/* block */ create table b (\\n  id int, -- c\\n  t text default ''x;  y''\\n)', "
        "E'create function f() returns int language plpgsql as $$ begin\\n  return 1; -- in\\nend $$', '-- trailing comment'], 'a'), "
        "('20240102000000', ARRAY['create table c (id int)', 'insert into c values (1)'], 'crlf'), "
        "('20240103000000', NULL, 'none')",
        {
            "20240101000000_a.sql": "-- leading comment; with semicolon\ncreate table a (id int); -- behind\n/* block */ create table b (\n"
            "  id int, -- c\n  t text default 'x;  y'\n);\n\ncreate function f() returns int language plpgsql as $$ begin\n"
            "  return 1; -- in\nend $$;\n-- trailing comment\n",
            "20240102000000_crlf.sql": "\ufeffcreate table c (id int);\r\n\r\ninsert into c values (1);\r\n",
            "20240103000000_none.sql": C,
        },
        ["20240101000000_a.sql", "20240102000000_crlf.sql", "20240103000000_none.sql"],
        "20240101000000_a.sql",
    ),
    "goose": Case(
        "CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, version_id bigint NOT NULL, "
        "is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now());"
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true), (2, true), (2, false)",
        {"00001_a.sql": f"-- +goose Up\n{A}-- +goose Down\ndrop table a;\n", "00002_b.sql": f"-- +goose Up\n{B}"},
        ["00001_a.sql"],
    ),
    "sql-migrate": Case(
        'CREATE TABLE "gorp_migrations" ("id" text not null primary key, "applied_at" timestamp with time zone);'
        "INSERT INTO gorp_migrations VALUES ('1_b.sql', now())",
        {"1_a.sql": f"-- +migrate Up\n{A}", "1_b.sql": f"-- +migrate Up\n{B}"},
        ["1_b.sql"],
        notes=["import_gap"],
    ),
    "node-pg-migrate": Case(
        "CREATE TABLE pgmigrations (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);"
        "INSERT INTO pgmigrations (name, run_on) VALUES ('1700000000000_a', now()), ('1700000000001_add-b', now())",
        {
            "1700000000000_a.sql": f"-- Up Migration\n{A}-- Down Migration\ndrop table a;\n",
            "1700000000001_add-b.sql": B,
            "1700000000002_d.sql": D,
        },
        ["1700000000000_a.sql", "1700000000001_add-b.sql"],
    ),
    "graphile-migrate": Case(
        "CREATE SCHEMA graphile_migrate; CREATE TABLE graphile_migrate.migrations (hash text primary key, previous_hash text "
        "references graphile_migrate.migrations, filename text not null, date timestamptz not null default now());"
        "CREATE TABLE graphile_migrate.current (filename text primary key, content text not null);"
        "INSERT INTO graphile_migrate.migrations VALUES ('sha1:d4752d4b292033f350ac75e08ed62c2050bc99b8', NULL, '000001.sql'), "
        "('sha1:6f56e914bd913404cab00014d304dfeeecfc0691', 'sha1:d4752d4b292033f350ac75e08ed62c2050bc99b8', '000002.sql')",
        {
            "committed/000001.sql": "--! Previous: -\n--! Hash: sha1:d4752d4b292033f350ac75e08ed62c2050bc99b8\n\n"
            f"drop table if exists a;\n{A}",
            "committed/000002-add-b.sql": "--! Previous: sha1:d4752d4b292033f350ac75e08ed62c2050bc99b8\n"
            "--! Hash: sha1:6f56e914bd913404cab00014d304dfeeecfc0691\n--! Message: add b\n\n--! no-transaction\n\n"
            "create table if not exists b (id int);\n",
            "current.sql": D,
        },
        ["committed/000001.sql", "committed/000002-add-b.sql"],
        "committed/000002-add-b.sql",
    ),
    "sqitch": Case(
        "CREATE SCHEMA sqitch; CREATE TABLE sqitch.changes (change_id text PRIMARY KEY, script_hash text, change text NOT NULL, "
        "project text NOT NULL, note text NOT NULL DEFAULT '', committed_at timestamptz NOT NULL DEFAULT clock_timestamp());"
        "INSERT INTO sqitch.changes (change_id, script_hash, change, project) VALUES "
        "('c3a99d66f80e6e29829abd7eda063ba449a1a330', '927f15cab7217122ed22373498e53b837bef89c6', 'users', 'shop'), "
        "('d99e2a6497264b3596482bbc35da239c055c8777', '1c5a0f793fd986ca87889bc89899efd59793a624', 'things', 'shop')",
        {
            "0001_users.sql": "-- Deploy shop:users to pg\n\nBEGIN;\n\nCREATE TABLE a (id int);\n\nCOMMIT;\n",
            "0002_stuff.sql": "-- Deploy shop:things to pg\n\nBEGIN;\n\nCREATE TABLE b (id int);\n\nCOMMIT;\n",
            "0003_d.sql": D,
        },
        ["0001_users.sql", "0002_stuff.sql"],
        "0001_users.sql",
    ),
    "liquibase": Case(
        "CREATE TABLE databasechangelog (id varchar(255) NOT NULL, author varchar(255) NOT NULL, filename varchar(255) NOT NULL, "
        "dateexecuted timestamp NOT NULL DEFAULT now(), orderexecuted integer NOT NULL, exectype varchar(10) NOT NULL, md5sum varchar(35));"
        "INSERT INTO databasechangelog (id, author, filename, orderexecuted, exectype, md5sum) VALUES "
        "('1', 'me', 'changelog/001_a.sql', 1, 'EXECUTED', '9:bc977861bd4473eb06a874429a50b8f6'), "
        "('b2', 'Jane Doe', 'changelog/001_a.sql', 2, 'EXECUTED', '9:4ccccc9eab4f4e56a6297af436a1d73e'), "
        "('raw', 'includeAll', 'changelog/002_plain.sql', 3, 'EXECUTED', '9:1d2a14cee0d5ea5214617aeaa0fa44c4')",
        {
            "001_a.sql": f"--liquibase formatted sql\n\n--changeset me:1\n{A}--rollback drop table a;\n\n"
            f'--changeset "Jane Doe":b2 runOnChange:true\n{B}',
            "002_plain.sql": C,
            "003_d.sql": D,
        },
        ["001_a.sql", "002_plain.sql"],
    ),
    "diesel": Case(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT now());"
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('20240101000000')",
        {"2024-01-01-000000_a/up.sql": A, "2024-01-01-000000_a/down.sql": "drop table a;", "2024-01-02-000000_b/up.sql": B},
        ["2024-01-01-000000_a/up.sql"],
    ),
    "tern": Case(
        "CREATE TABLE schema_version (version int4 not null); INSERT INTO schema_version VALUES (2)",
        {"001_a.sql": A, "002_b.sql": f"{B}---- create above / drop below ----\ndrop table b;\n", "003_d.sql": D},
        ["001_a.sql", "002_b.sql"],
    ),
    "rails": Case(
        'CREATE TABLE "schema_migrations" ("version" character varying NOT NULL PRIMARY KEY);'
        "INSERT INTO schema_migrations VALUES ('20240101000000')",
        {"20240101000000_a.sql": A, "20240102000000_b.sql": B},
        ["20240101000000_a.sql"],
    ),
    "alembic": Case(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)); INSERT INTO alembic_version VALUES ('ae1027a6acf4')",
        {
            "0001_users.sql": "BEGIN;\n\nCREATE TABLE alembic_version (\n    version_num VARCHAR(32) NOT NULL, \n"
            "    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)\n);\n\n-- Running upgrade  -> ae1027a6acf4\n\n"
            f"{A}\nINSERT INTO alembic_version (version_num) VALUES ('ae1027a6acf4') RETURNING alembic_version.version_num;\n\nCOMMIT;\n",
            "0002_tags.sql": "BEGIN;\n\n-- Running upgrade ae1027a6acf4 -> 1975ea83b712\n\n"
            "UPDATE alembic_version SET version_num='1975ea83b712' WHERE alembic_version.version_num = 'ae1027a6acf4';\n\nCOMMIT;\n",
        },
        ["0001_users.sql"],
    ),
    "django": Case(
        'CREATE TABLE "django_migrations" ("id" bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, "app" varchar(255) NOT NULL, '
        '"name" varchar(255) NOT NULL, "applied" timestamp with time zone NOT NULL DEFAULT now());'
        "INSERT INTO django_migrations (app, name) VALUES ('auth', '0001_initial'), ('auth', '0002_x'), ('shop', '0001_initial')",
        {
            "0001_initial.sql": 'BEGIN;\n--\n-- Create model Item\n--\nCREATE TABLE "shop_item" ("id" bigint NOT NULL PRIMARY KEY GENERATED '
            'BY DEFAULT AS IDENTITY, "u_id" integer NULL);\nALTER TABLE "shop_item" ADD CONSTRAINT "fk" FOREIGN KEY ("u_id") REFERENCES '
            '"auth_user" ("id") DEFERRABLE INITIALLY DEFERRED;\nCOMMIT;\n',
            "0002_tags.sql": 'BEGIN;\nALTER TABLE "shop_item" ADD COLUMN "tag" varchar(9) DEFAULT \'\' NOT NULL;\nCOMMIT;\n',
        },
        ["0001_initial.sql"],
        notes=["import_other_apps"],
    ),
}  # fmt: skip
"""Of dbmate and golang-migrate: test_adoption.py."""
SETUP = (
    "create table a (id int); create table b (id int, t text); create table c (id int); "
    "create function f() returns int language sql as 'select 1'; create table auth_user (id int primary key); "
    "create table shop_item (id bigint primary key, u_id int constraint fk references auth_user)"
)
MADE = "drop schema if exists drizzle, graphile_migrate, sqitch, supabase_migrations cascade; drop table if exists "


@pytest.fixture
def database(site):
    """A running project that was never deployed to."""
    made = site.api.call(endpoints.CREATE_PROJECT, body={"name": site.name})["project_id"]
    for _ in wait_until_running(site.api, Project(made, site.name, status="provisioning"), timeout=20):
        pass
    site.api.sql(made, SETUP)
    return made


def folder(site, files: dict[str, str]) -> None:
    shutil.rmtree(site.root / "sql", ignore_errors=True)
    for name, text in files.items():
        site.write(f"sql/{name}", text)
    site.manifest(database={"migrations": "sql"})


def test_each_tool(site, database):
    for tool, case in CASES.items():
        site.api.sql(database, case.table)
        folder(site, case.files)
        planned = plan_import(site.api, known(site), TOOLS[tool], None)
        assert [change.file for change in planned.plan.changes] == case.applied, tool
        assert [note.code for note in planned.plan.notes] == case.notes, tool
        if case.edited:
            site.write(f"sql/{case.edited}", case.files[case.edited].rstrip() + "\n-- edited\n")
            with pytest.raises(HistoryImportRefused) as caught:
                plan_import(site.api, known(site), TOOLS[tool], None)
            assert [f"{problem}" for problem in caught.value.problems] == [
                f"sql/{case.edited}: differs from what {tool} applied (checksum)"
            ]
        site.api.sql(database, MADE + TOOLS[tool].table)


def test_an_import_is_applied_and_the_tools_table_stays_as_it_was(site, database):
    case = CASES["drizzle"]
    folder(site, case.files)
    sql(site, case.table)
    rows = sql(site, "select * from drizzle.__drizzle_migrations order by id")
    write(site, plan_import(site.api, known(site), TOOLS["drizzle"], None), IMPORT)
    assert pending(site) == ["migration:0001_later.sql"]
    site.apply()
    assert not site.plan().has_work
    assert sql(site, "select * from drizzle.__drizzle_migrations order by id") == rows


def test_repeatable_files_of_flyway_run_again_only_if_they_changed(site, database):
    case = CASES["flyway"]
    views = {f"R__{name}.sql": f"create or replace view {name} as select 1 as n;" for name in ("v", "w")}
    folder(site, {**case.files, **views})
    crc = zlib.crc32(views["R__v.sql"].encode())
    sql(site, f"{''.join(views.values())} {case.table}")
    sql(
        site,
        f"update flyway_schema_history set checksum = {crc - (1 << 32) if crc >> 31 else crc} where version is null "
        "and description = 'v'; insert into flyway_schema_history select 9, null, 'w', type, 'R__w.sql', 1, 'u', "
        "now(), 1, true from flyway_schema_history where installed_rank = 3",
    )
    planned = plan_import(site.api, known(site), TOOLS["flyway"], None)
    assert [change.address for change in planned.plan.changes][2:] == ["history:sql/R__v.sql"]
    write(site, planned, IMPORT)
    assert not plan_import(site.api, known(site), TOOLS["flyway"], None).plan.changes
    assert pending(site) == ["migration:V2__c.sql", "repeatable:sql/R__w.sql"]
    site.apply()
    assert not site.plan().has_work


def test_other_tables_are_said(site, database):
    folder(site, CASES["goose"].files)
    sql(
        site,
        f"create schema ops; create schema app; {CASES['goose'].table}; alter table goose_db_version set schema ops",
    )
    sql(
        site,
        f"{CASES['prisma'].table}; alter table _prisma_migrations set schema app; {CASES['rails'].table}",
    )
    sql(site, "create table app.changes (id int); create table app.migrations (id int)")
    with pytest.raises(HistoryImportRefused, match="no table goose_db_version") as caught:
        plan_import(site.api, known(site), TOOLS["goose"], None)
    assert [
        str(action.command).removeprefix("mosaic-deploy migrate import ")
        for action in caught.value.next_actions
    ] == [
        "goose --table ops.goose_db_version",
        "dbmate",
        "golang-migrate",
        "prisma --table app._prisma_migrations",
        "rails",
    ]
    planned = plan_import(site.api, known(site), TOOLS["goose"], "ops.goose_db_version")
    assert [change.file for change in planned.plan.changes] == ["00001_a.sql"]
    assert [note.message for note in planned.plan.notes] == [
        "this database also has schema_migrations, a history table of dbmate or golang-migrate or rails; it isn't read",
        "this database also has app._prisma_migrations, a history table of prisma; it isn't read",
    ]


def test_a_failed_row_of_sqlx_is_refused(site, database):
    folder(site, CASES["sqlx"].files)
    sql(site, f"{CASES['sqlx'].table}; update _sqlx_migrations set success = false")
    with pytest.raises(HistoryImportRefused, match="failed migration"):
        plan_import(site.api, known(site), TOOLS["sqlx"], None)
