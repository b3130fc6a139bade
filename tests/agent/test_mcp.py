"""`mosaic-deploy mcp` over stdio."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from mcp import Client

from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.shipped_docs import doc_names
from tests.agent.calls import call


def test_from_a_manifest_to_a_live_project(session, folder: Path) -> None:
    async def conversation(client: Client) -> None:
        assert await call(client, "validate") == {
            "type": "validate", "valid": True, "manifest": "mosaic.yaml",
            "migrations": 1, "static": 1, "storage": 0, "storage_paths": {}, "ignored": 0, "notes": [],
        }  # fmt: skip
        planned = await call(client, "plan", local=True)
        assert planned["summary"] == {"add": 3, "change": 0, "destroy": 0}
        applied = await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        assert applied["error"] is None
        assert len(applied["done"]) == 3
        again = await call(client, "plan", local=True)
        assert again["changes"] == []
        nothing = await call(client, "apply", local=True, fingerprint=again["fingerprint"])
        assert nothing["done"] == []
        found = await call(client, "status", local=True)
        assert found["project"]["id"] == applied["project"]["id"]
        listed = await call(client, "list_projects", local=True)
        assert applied["project"]["id"] in {project["id"] for project in listed["projects"]}
        rows = await call(client, "query", local=True, sql="select id from t order by id", limit=2)
        assert rows == {"type": "rows", "rows": [{"id": 1}, {"id": 2}], "more": True}

    session(conversation)


def test_apply_needs_the_current_fingerprint(session, folder: Path) -> None:
    async def conversation(client: Client) -> None:
        planned = await call(client, "plan", local=True)
        (folder / "public/index.html").write_text("<h1>edited since")
        refused = await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        assert refused["error"]["code"] == "plan_stale"
        assert refused["error"]["retryable"] is False
        assert [action["needs_person"] for action in refused["error"]["next_actions"]] == [False]
        assert (await call(client, "plan", local=True))["summary"] == planned["summary"]

    session(conversation)


def test_a_plan_shows_what_was_changed_by_hand(session, folder: Path, platform) -> None:
    async def conversation(client: Client) -> None:
        first = await call(client, "plan", local=True)
        applied = await call(client, "apply", local=True, fingerprint=first["fingerprint"])
        with Api(platform.url, ApiKey(platform.api_key)) as api:
            api.sql(applied["project"]["id"], "alter table t add column by_hand int")
        drift = (await call(client, "plan", local=True))["drift"]
        assert drift["state"] == "drifted"
        assert "by_hand" in json.dumps(drift["changes"])

    session(conversation)


def test_a_plan_is_rehearsed(session, folder: Path) -> None:
    async def conversation(client: Client) -> None:
        first = await call(client, "plan", local=True)
        assert first["rehearsal"] is None
        await call(client, "apply", local=True, fingerprint=first["fingerprint"])
        (folder / "sql/2_c.sql").write_text("alter table t add c int;")
        [done] = (await call(client, "plan", local=True))["rehearsal"]["done"]
        assert [change["name"] for change in done["changes"]] == ["c"]
        (folder / "sql/2_c.sql").write_text("select nothing();")
        failed = (await call(client, "plan", local=True))["error"]
        assert failed["code"] == "rehearsal_failed"
        [action] = failed["next_actions"]
        assert action["command"] == f"mosaic-deploy plan --local {folder} --no-rehearse"
        assert action["needs_person"]

    session(conversation, rehearse="")


def test_destructive_changes_are_refused(session, folder: Path) -> None:
    async def conversation(client: Client) -> None:
        first = await call(client, "plan", local=True)
        await call(client, "apply", local=True, fingerprint=first["fingerprint"])
        (folder / "sql/2_drop.sql").write_text("drop table t;")
        planned = await call(client, "plan", local=True)
        assert planned["hazards"][0]["code"] == "drop_table"
        refused = await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        assert refused["error"]["code"] == "destructive_unconfirmed"
        assert refused["error"]["next_actions"][0]["command"].startswith("mosaic-deploy apply --local")
        assert refused["error"]["next_actions"][0]["needs_person"] is True
        rows = await call(client, "query", local=True, sql="select count(*) as n from t")
        assert rows["rows"] == [{"n": 3}]

    session(conversation)


WRITING = [
    ("delete from t", "sql_not_read_only"),
    ("select 1; select 2", "sql_not_read_only"),
    ("select 1 into u", "sql_not_read_only"),
    ("explain analyze select 1", "sql_not_read_only"),
    ("selec", "sql_invalid"),
    ("select writes()", "sql_failed"),
    ("with d as (delete from t returning *) select * from d", "sql_not_read_only"),
    ("select folded()", "sql_failed"),
    ("explain select folded()", "sql_failed"),
    ("values (folded())", "sql_failed"),
    ("select 1 limit folded()", "sql_failed"),
    ("select * from t for update", "sql_failed"),
    ("select set_config('transaction_read_only', 'off', true), writes()", "sql_failed"),
]


def test_a_query_cannot_write(session, folder: Path) -> None:
    (folder / "sql/2_f.sql").write_text(
        "create function writes() returns bigint language sql as 'insert into t values (4) returning id';\n"
        "create function folded() returns bigint language plpgsql immutable as 'begin return writes(); end';"
    )

    async def conversation(client: Client) -> None:
        planned = await call(client, "plan", local=True)
        await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        for sql, code in WRITING:
            refused = await call(client, "query", local=True, sql=sql)
            assert refused["error"]["code"] == code, sql
            if code == "sql_failed" and "set_config" not in sql:
                assert refused["error"]["sqlstate"] == "25006", sql
            rows = await call(client, "query", local=True, sql="select count(*) as n from t")
            assert rows["rows"] == [{"n": 3}], sql

    session(conversation)


def test_a_query_result_is_limited(session, folder: Path) -> None:
    async def conversation(client: Client) -> None:
        planned = await call(client, "plan", local=True)
        await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        large = "select n, repeat('é', 50000) as x from generate_series(1, 9) as n"
        cut = await call(client, "query", local=True, sql=large)
        assert [row["n"] for row in cut["rows"]] == [1, 2]
        assert cut["more"] is True
        assert cut["hint"].startswith("stopped at 256 KiB of JSON")
        whole = await call(client, "query", local=True, sql=large, limit=2)
        assert (len(whole["rows"]), whole["more"], "hint" in whole) == (2, True, False)
        refused = await call(client, "query", local=True, sql="select repeat('x', 30000000) as x")
        assert refused["error"]["code"] == "result_too_large"
        assert "left(column, 1000)" in refused["error"]["hint"]
        none = await call(client, "query", local=True, sql="select 1 where false")
        assert none == {"type": "rows", "rows": [], "more": False}

    session(conversation)


def test_a_manifest_text_is_validated(session, folder: Path) -> None:
    async def conversation(client: Client) -> None:
        found = await call(
            client, "validate", text="version: 1\nproject:\n  name: x\nstatic:\n  dri: public\n"
        )
        [misspelt] = found["error"]["problems"]
        assert misspelt["location"] == {"file": "mosaic.yaml", "line": 5, "column": 3}
        assert (await call(client, "validate", text=(folder / "mosaic.yaml").read_text()))["valid"]

    session(conversation)


def test_paths_outside_the_root_are_refused(session, folder: Path, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "mosaic.yaml").write_text("version: 1\nproject:\n  name: secret\n")
    (folder / "link").symlink_to(outside)

    async def conversation(client: Client) -> None:
        for path in (str(outside), "..", "link", "a\0b", "a" * 5000, "a/" * 3000):
            assert (await call(client, "validate", path=path))["error"]["code"] == "usage"

    session(conversation)


def test_resources_are_the_shipped_ones(session) -> None:
    async def conversation(client: Client) -> None:
        listed = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert listed == {
            "mosaic://schema/manifest",
            "mosaic://skill",
            *(f"mosaic://docs/{name}" for name in doc_names()),
        }
        [schema] = (await client.read_resource("mosaic://schema/manifest")).contents
        jsonschema.Draft202012Validator.check_schema(json.loads(schema.text))
        [page] = (await client.read_resource("mosaic://docs/errors.md")).contents
        assert page.text.startswith("# Errors")

    session(conversation)


def test_annotations(session) -> None:
    async def conversation(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        writing = {name for name, tool in tools.items() if not tool.annotations.read_only_hint}
        assert writing == {"apply", "submit_ticket", "upload_storage", "delete_storage"}
        assert tools["apply"].annotations.destructive_hint
        assert all(tool.description for tool in tools.values())

    session(conversation)


def test_explain_and_inbox(session) -> None:
    async def conversation(client: Client) -> None:
        assert "lock" in (await call(client, "explain", code="lock_held"))["text"]
        assert "lock_held" in (await call(client, "explain", code="lock_hold"))["error"]["message"]
        assert isinstance((await call(client, "inbox"))["emails"], list)

    session(conversation)


def test_a_ticket_is_submitted(session) -> None:
    async def conversation(client: Client) -> None:
        answered = await call(client, "submit_ticket", subject="Slow", message="very", local=True)
        assert answered["status"] == "open"

    session(conversation)


def test_an_emptied_site_and_others_files_are_refused(folder: Path, session, platform) -> None:
    manifest = folder / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("dir: public", "dir: public\n  prune: true\n  keep: 0"))

    async def conversation(client: Client) -> None:
        planned = await call(client, "plan", local=True)
        assert (await call(client, "apply", local=True, fingerprint=planned["fingerprint"]))["error"] is None
        (folder / "public/index.html").unlink()
        planned = await call(client, "plan", local=True)
        assert planned["policy"]["to_prune"] == 1
        refused = await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        assert refused["error"]["code"] == "prune_unconfirmed"
        assert refused["error"]["next_actions"][0]["needs_person"]
        status = await call(client, "status", local=True)
        assert status["static"]["files"] == 1

    session(conversation)
