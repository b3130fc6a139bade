"""Bases: built once, extended, never taken half-built, and compared with the live schema."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from importlib import import_module

import pytest

from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.deploy.rehearsal import base as bases
from mosaic_deploy.deploy.rehearsal import rehearse
from mosaic_deploy.deploy.rehearsal.pending import _MAX_CATALOGS
from mosaic_deploy.errors import RehearsalFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database import clones
from tests.deploy.rehearsal.conftest import COMMAND, Rehearser


@pytest.fixture
def stage(rehearser) -> Api:
    """The API of the platform that rehearses, whose traffic is counted apart."""
    site_api = rehearser.site.api
    with Api(site_api.url, site_api.key) as found:
        yield found


def with_history(rehearser: Rehearser, table: str) -> None:
    """A history that no other test has."""
    rehearser.site.deploy_sql(f"CREATE TABLE {table} (n int);")


def requests(rehearser: Rehearser, stage: Api) -> tuple[int, int]:
    """The requests of a rehearsal to the live API and to the platform that rehearses."""
    planned = rehearser.site.plan()
    live = rehearser.site.api
    before = live.traffic.requests, stage.traffic.requests
    found = rehearse(live, stage, planned, COMMAND).plan.rehearsal
    assert found is not None
    assert not found.not_rehearsed, found
    return live.traffic.requests - before[0], stage.traffic.requests - before[1]


def test_a_base_is_built_once_and_then_copied(rehearser, stage):
    with_history(rehearser, "built_once")
    rehearser.site.write("sql/2_c.sql", "ALTER TABLE built_once ADD c int;")
    first = requests(rehearser, stage)
    # The live side: history, schema and sizes, and the recorded texts only for the first. The other: open, schema, relations,
    # constraints, run, schema, names, drop.
    assert first[0] == 4
    assert requests(rehearser, stage) == (3, 8)
    assert requests(rehearser, stage) == (3, 8)
    rehearser.site.write("sql/2_c.sql", "CREATE TABLE locks_nothing (n int);")
    assert requests(rehearser, stage) == (2, 8)


def test_the_platform_is_asked_for_a_spare_copy_of_the_base_also_after_a_failure(rehearser, monkeypatch):
    with_history(rehearser, "spared")
    dropped: list[tuple[bool, str | None]] = []
    monkeypatch.setattr(
        bases.RehearsalDatabase, "drop", lambda self, *, spare: dropped.append((spare, self.base))
    )
    for text in ("ALTER TABLE spared ADD c int;", "ALTER TABLE spared ADD n int;"):
        rehearser.site.write("sql/2_c.sql", text)
        for spare in (True, False):
            with suppress(RehearsalFailed):
                rehearse(rehearser.site.api, rehearser.site.api, rehearser.site.plan(), COMMAND, spare=spare)
    [(_, base), *_] = dropped
    assert base
    assert dropped == [(spare, base) for spare in (True, False)] * 2


def test_a_longer_history_extends_the_base(rehearser, stage, monkeypatch):
    with_history(rehearser, "extended")
    rehearser.site.write("sql/2_c.sql", "ALTER TABLE extended ADD c int;")
    requests(rehearser, stage)
    rehearser.site.apply()
    rehearser.site.write("sql/3_d.sql", "ALTER TABLE extended ADD d int;")
    parsed = []
    parse = bases.parse_migrations
    monkeypatch.setattr(
        bases, "parse_migrations", lambda files, rows: parsed.extend(files) or parse(files, rows)
    )
    assert rehearser.changes() == [["add column extended.d integer"]]
    assert [file.migration.file for file in parsed] == ["2_c.sql"]


@pytest.mark.parametrize("where", ["keep", "run"])
def test_a_base_whose_build_was_killed_is_not_used(rehearser, monkeypatch, where):
    with_history(rehearser, f"killed_{where}")
    rehearser.site.write("sql/2_c.sql", f"ALTER TABLE killed_{where} ADD c int;")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # The killed one can't clean up either.
        patch.setattr(bases, "drop", lambda _: None)
        if where == "keep":
            patch.setattr(bases.RehearsalDatabase, "keep", killed)
        else:
            patch.setattr(bases.Runner, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            rehearser.plan()
    assert rehearser.changes() == [[f"add column killed_{where}.c integer"]]


def test_two_rehearsals_at_once(rehearser, stage):
    with_history(rehearser, "twice")
    rehearser.site.write("sql/2_c.sql", "ALTER TABLE twice ADD c int;")
    planned = rehearser.site.plan()
    for _ in ("building the base", "copying it"):
        with ThreadPoolExecutor(3) as threads:
            made = [threads.submit(rehearse, rehearser.site.api, stage, planned, COMMAND) for _ in range(3)]
        found = [each.result().plan.rehearsal for each in made]
        for one in found:
            assert one is not None
            assert [change.summary for change in one.done[0].changes] == ["column twice.c integer"], one


def test_a_baselined_history_is_rehearsed_if_its_files_make_the_schema(rehearser):
    site = rehearser.site
    site.manifest(database={"migrations": "sql"})
    site.write("sql/1_live.sql", "CREATE TABLE baselined (n int);")
    site.apply()
    # As another tool left it: the same rows, recorded without running them.
    site.sql("UPDATE mosaic_deploy.migrations SET applied_at = now()")
    site.write("sql/2_c.sql", "ALTER TABLE baselined ADD c int;")
    assert rehearser.changes() == [["add column baselined.c integer"]]
    site.sql("ALTER TABLE baselined ADD by_the_other_tool text")
    found = rehearser.rehearsal()
    assert [each.summary for each in found.differences] == ["column baselined.by_the_other_tool text"]


def test_migrations_count_in_the_order_in_which_they_were_applied(rehearser):
    site = rehearser.site
    site.manifest(database={"migrations": "sql"})
    site.write("sql/5_live.sql", "CREATE TABLE ordered (n int);")
    site.apply()
    site.write("sql/2_late.sql", "ALTER TABLE ordered ADD late int;")
    late = site.plan(options=PlanOptions(allow_out_of_order=True))
    assert [each.changes for each in rehearse(site.api, site.api, late, COMMAND).plan.rehearsal.done]
    site.run(late)
    site.write("sql/6_next.sql", "ALTER TABLE ordered DROP late;")
    assert rehearser.changes() == [["drop column ordered.late"]]


def test_a_text_that_is_not_the_recorded_one_makes_no_base(rehearser):
    """Its base has the name of the history of whoever has the files that were recorded."""
    with_history(rehearser, "genuine")
    rehearser.site.write("sql/2_c.sql", "ALTER TABLE genuine ADD c int;")
    site = rehearser.site
    genuine = site.sql("SELECT encode(source, 'hex') AS source FROM mosaic_deploy.migrations")[0]["source"]
    forged = zlib.compress(
        b"CREATE TABLE genuine (n int); CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1;"
    )
    for source, refused in ((forged.hex(), True), (genuine, False)):
        site.sql(f"UPDATE mosaic_deploy.migrations SET source = '\\x{source}'")
        assert ("isn't the one that was applied" in rehearser.rehearsal().not_rehearsed) == refused


def test_a_recorded_text_without_its_rows_makes_a_base(rehearser):
    rows = "".join(f"{number}\n" for number in range(20_000))
    rehearser.site.deploy_sql(f"CREATE TABLE copied (n int);\nCOPY copied FROM stdin;\n{rows}\\.\n")
    rehearser.site.write("sql/2_c.sql", "ALTER TABLE copied ADD c int;")
    assert rehearser.changes() == [["add column copied.c integer"]]


def test_a_long_history_is_reported_in_groups(rehearser):
    with_history(rehearser, "grouped")
    number = 2 * _MAX_CATALOGS + 1
    for n in range(2, number + 2):
        rehearser.site.write(f"sql/{n}_t.sql", f"CREATE TABLE t{n} (n int);")
    found = rehearser.rehearsal()
    assert len(found.done) == -(-number // 3)
    assert sum(len(each.changes) for each in found.done) == number
    assert len(found.done[0].addresses) == 3


def test_another_version_of_an_extension_is_only_remarked(rehearser, monkeypatch):
    with_history(rehearser, "versions")
    rehearser.site.write("sql/2_c.sql", "ALTER TABLE versions ADD c int;")
    module = import_module("mosaic_deploy.deploy.rehearsal.rehearse")
    read = module.read_catalog

    def with_other_version(api, project):
        found = read(api, project)
        if api is not rehearser.site.api:
            return found
        return {item: "0.1" if item.kind == "extension" else text for item, text in found.items()}

    monkeypatch.setattr(module, "read_catalog", with_other_version)
    monkeypatch.setattr(module, "open_base", lambda *given: replace(bases.open_base(*given), server="17.2"))
    remarks = rehearser.rehearsal().remarks
    assert remarks[0].startswith("rehearsed on PostgreSQL 17.2; the live database runs 18")
    assert remarks[1].startswith("rehearsed with ")


def test_the_result_is_the_schema_after_the_apply(rehearser):
    with_history(rehearser, "digests")
    rehearser.site.write(
        "sql/2_c.sql",
        "ALTER TABLE digests ADD c int; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;",
    )
    result = rehearser.rehearsal().result
    rehearser.site.apply()
    rehearser.site.write("sql/3_d.sql", "SELECT 1;")
    again = rehearser.rehearsal()
    assert again.base == result == again.result


def test_a_base_that_is_pushed_out_at_once(rehearser, monkeypatch):
    with_history(rehearser, "pushed_out")
    rehearser.site.write("sql/2_c.sql", "ALTER TABLE pushed_out ADD c int;")
    monkeypatch.setattr(bases.RehearsalDatabase, "keep", lambda self, _: self.drop())
    assert "pushed this one's base out" in rehearser.rehearsal().not_rehearsed


def test_a_platform_that_cannot_rehearse(rehearser, monkeypatch):
    with_history(rehearser, "older")
    rehearser.site.write("sql/2_c.sql", "ALTER TABLE older ADD c int;")
    monkeypatch.setattr(clones, "_REHEARSALS", "/nowhere")
    assert "older than this mosaic-deploy" in rehearser.rehearsal().not_rehearsed
