"""Another major of PostgreSQL prints the same objects differently; that is no difference from the recorded files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mosaic_deploy.deploy import PreparedPlan
from mosaic_deploy.deploy.rehearsal import rehearse
from mosaic_deploy.deploy.rehearsal.live_base import NOT_THE_FILES, major_version
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.catalog.read import read_catalog
from mosaic_deploy.live.catalog.remade import remade, without_newer_privileges
from mosaic_deploy.model.catalog import Catalog, SchemaObject
from mosaic_deploy.platform.machine.ports import free_port
from tests.deploy.conftest import Site
from tests.deploy.rehearsal.conftest import COMMAND
from tests.platform.served import Services, postgres_server, run, serve

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, a text DEFAULT upper('x'), b int GENERATED ALWAYS AS (id * 2) STORED,
  CONSTRAINT odd CHECK (a <> 'q' AND id > 0));
CREATE TABLE u (id int, x int);
CREATE INDEX lowered ON t (lower(a)) WHERE id > 1;
CREATE UNIQUE INDEX raised ON t (upper(a));
CREATE VIEW v AS SELECT id, a FROM t WHERE id > 0;
CREATE VIEW guarded WITH (security_barrier) AS WITH q AS (SELECT id FROM u) SELECT max(id) AS most FROM q;
CREATE VIEW listed AS VALUES (1, 2), (3, 4);
CREATE VIEW both_ids AS (SELECT id FROM t LIMIT 1) UNION SELECT id FROM u;
CREATE VIEW without_one WITH (security_barrier) AS (SELECT id FROM t UNION SELECT id FROM u) EXCEPT SELECT 1;
CREATE MATERIALIZED VIEW mv AS SELECT id, count(*) AS n FROM t GROUP BY id;
CREATE RULE copied AS ON INSERT TO u DO ALSO INSERT INTO t (id) SELECT NEW.id FROM u WHERE x > 0;
CREATE FUNCTION counted(lowest int DEFAULT 1 + 1) RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM t WHERE id > lowest; END;
CREATE PROCEDURE moved(one int) BEGIN ATOMIC INSERT INTO u SELECT id, id FROM t WHERE id = one; END;
CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER keeps BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.a IS DISTINCT FROM NEW.a) EXECUTE FUNCTION kept();
CREATE CONSTRAINT TRIGGER keeps_late AFTER INSERT ON t DEFERRABLE FOR EACH ROW WHEN (NEW.id > 1) EXECUTE FUNCTION kept();
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON t FOR SELECT USING (id IN (SELECT x FROM u WHERE u.id = t.id));
CREATE DOMAIN word AS text DEFAULT lower('X') CONSTRAINT short CHECK (length(VALUE) < 9);
CREATE STATISTICS lengths ON (lower(a)), (id + 1) FROM t;
GRANT ALL ON u TO public;
"""
NOT_AS_READ = "CREATE VIEW named (one, two) AS VALUES (1, 2), (3, 4);"
"""PostgreSQL prints it in another way if it is given what it prints."""
_PRINTED_KINDS = {
    *("view", "materialized view", "index", "trigger", "rule", "function", "procedure", "column", "constraint"),
    *("policy", "domain", "statistics"),
}  # fmt: skip
_VIEW, _MATERIALIZED = SchemaObject("view", "v"), SchemaObject("materialized view", "mv")
_CHECK, _POLICY = SchemaObject("constraint", "odd", "t"), SchemaObject("policy", "seen", "t")
_RULE, _FUNCTION = SchemaObject("rule", "copied", "u"), SchemaObject("function", "counted(lowest integer)")


def printed_objects(catalog: Catalog) -> Catalog:
    """Without the primary key, of which a table has one."""
    return {
        item: text
        for item, text in catalog.items()
        if item.kind in _PRINTED_KINDS and not text.startswith("PRIMARY KEY")
    }


def test_definitions_are_printed_as_this_server_does(site):
    site.deploy_sql(SCHEMA + "CREATE VIEW atop AS SELECT id FROM t WHERE counted() > 1;")
    catalog = read_catalog(site.api, site.project_id)
    own = printed_objects(catalog)
    assert {item.kind for item in own} == _PRINTED_KINDS
    assert remade(site.api, site.project_id, own) == own

    written = {
        _VIEW: " SELECT t.id,\n    t.a\n   FROM t\n  WHERE t.id > 0;",
        _MATERIALIZED: " SELECT t.id, count(*) AS n FROM public.t GROUP BY t.id;",
        _CHECK: "CHECK ((((t.a <> 'q'::text)) AND (t.id > 0)))",
        _POLICY: "PERMISSIVE FOR SELECT TO public USING (t.id IN (SELECT u.x FROM u WHERE u.id = t.id))",
        _RULE: own[_RULE].replace("u.x >", "x >"),
        SchemaObject("view", "atop"): " SELECT t.id FROM t WHERE counted() > 1;",
        _FUNCTION: own[_FUNCTION].replace("t.id >", "id >"),
    }
    assert all(own[item] != text for item, text in written.items())
    assert {item: own[item] for item in written} == remade(site.api, site.project_id, written)

    other = {
        _VIEW: " SELECT t.id,\n    t.a\n   FROM t\n  WHERE t.id > 1;",
        _POLICY: own[_POLICY].replace("FOR SELECT", "FOR DELETE"),
        _RULE: "CREATE RULE other AS ON INSERT TO u DO ALSO NOTHING",
        _FUNCTION: own[_FUNCTION].replace("count(*)", "count(*) + 1"),
        SchemaObject("view", "listed"): " SELECT 1 FROM nothing;",
        SchemaObject("table", "t"): "",
    }
    found = remade(site.api, site.project_id, other)
    assert found.keys() == {_VIEW, _POLICY, _FUNCTION}
    assert all(found[item] != own[item] for item in found)
    assert read_catalog(site.api, site.project_id) == catalog


@pytest.mark.parametrize(
    ("before", "major", "after"),
    [
        ("DELETE, INSERT, MAINTAIN, SELECT", 15, "DELETE, INSERT, SELECT"),
        ("DELETE, MAINTAIN WITH GRANT OPTION, SELECT", 16, "DELETE, SELECT"),
        ("MAINTAIN, SELECT", 15, "SELECT"),
        ("DELETE, MAINTAIN", 15, "DELETE"),
        ("DELETE, MAINTAIN", 17, "DELETE, MAINTAIN"),
    ],
)
def test_a_privilege_that_the_other_major_lacks_is_left_out(before, major, after):
    grant = SchemaObject("grant", "public", "t")
    assert without_newer_privileges(grant, before, major) == after
    assert without_newer_privileges(SchemaObject("view", "v"), before, major) == before


@pytest.fixture
def earlier(tmp_path, monkeypatch) -> Iterator[Site]:
    """A site on a platform with the installed PostgreSQL, such as 15, with the schema above as its first migration."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "site"
    root.mkdir()
    # PostgreSQL's user must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="mosaic-earlier-") as name, ExitStack() as stack:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        url = stack.enter_context(postgres_server(folder / "postgres"))
        environment = {
            **os.environ,
            "MOSAIC_DATABASE_URL": url,
            "MOSAIC_SMTP_URL": "smtp://127.0.0.1:9/?from=no-reply@example.com",
        }
        store = f"file://{folder}/store"
        arguments = ("--store", store, "--base-domain", f"http://localhost:{port}")
        services = Services(environment, store, arguments)
        key = run(services, "account-create", "Ann", "--tier", "pro")["api_key"]
        stack.enter_context(serve(services, port=port))
        api = stack.enter_context(Api(f"http://api.localhost:{port}", ApiKey(key)))
        yield Site(root, api, "Earlier").deploy_sql(SCHEMA + NOT_AS_READ)


def rehearsed(site: Site, stage: Api) -> PreparedPlan:
    """The plan, rehearsed on the platform with the newest PostgreSQL."""
    return rehearse(site.api, stage, site.plan(), COMMAND)


def test_a_live_database_of_an_earlier_major_is_rehearsed(earlier, api):
    earlier.manifest(database={"migrations": "sql"}, policy={"rehearsed": "required"})
    earlier.write(
        "sql/2_next.sql",
        "ALTER VIEW v RENAME COLUMN a TO label;\nUPDATE t SET a = 'b' WHERE id IN (SELECT id FROM v);\n"
        "REFRESH MATERIALIZED VIEW mv; INSERT INTO u VALUES (1, 2); SELECT counted();\n"
        "CREATE VIEW made AS SELECT id, label FROM v WHERE id > 1;\nALTER TABLE t ADD COLUMN c int;",
    )
    earlier.write(
        "sql/3_later.sql",
        "CREATE VIEW onmade AS SELECT id FROM made WHERE label > 'a'; ALTER VIEW made RENAME TO done;",
    )
    planned = rehearsed(earlier, api)
    found = planned.plan.rehearsal
    assert found is not None
    assert not found.not_rehearsed, (found.not_rehearsed, [each.summary for each in found.differences])
    if major_version(found.live_server) == 15:
        assert found.remarks[1] == (
            "PostgreSQL 15 and 18 print grant to public on u, materialized view mv, view guarded, view named and view v "
            "differently; they are the same"
        )
    changed = ["column t.c integer", "view made", "view v"]
    assert [one.summary for one in found.done[0].changes] == changed
    seen = "CREATE OR REPLACE VIEW v AS SELECT id, a FROM t WHERE id > {}"
    earlier.sql(seen.format(3))
    stopped = earlier.fails(planned=planned)
    assert stopped.error.code == "schema_changed"
    assert "view v was changed" in str(stopped.error), stopped.error
    earlier.sql(seen.format(0))
    earlier.apply(planned=rehearsed(earlier, api))

    earlier.sql("CREATE OR REPLACE VIEW v AS SELECT id, a AS label FROM t WHERE id > 5")
    earlier.write("sql/4_refused.sql", "ALTER TABLE t ADD COLUMN d int;")
    refused = rehearsed(earlier, api).plan.rehearsal
    assert refused is not None
    assert refused.not_rehearsed.startswith(NOT_THE_FILES)
    assert [str(each.object) for each in refused.differences] == ["view v"]
