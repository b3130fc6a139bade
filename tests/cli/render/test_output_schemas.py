"""The JSON of every command matches the schemas, on success and on failure."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import get_args

import httpx
import jsonschema
import pytest
from referencing import Registry, Resource

from mosaic_deploy.model.event import Event
from mosaic_deploy.schema_files import read_schema
from tests.cli.watch.test_watch_loop import watching  # noqa: F401 - a fixture

_SCHEMAS = {name: read_schema(f"{name}.schema.json") for name in ("plan", "event", "error")}
_REGISTRY = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in _SCHEMAS.values()]
)
PLAN, EVENT, ERROR = (
    jsonschema.Draft202012Validator(_SCHEMAS[name], registry=_REGISTRY) for name in ("plan", "event", "error")
)


@pytest.mark.parametrize("name", _SCHEMAS)
def test_schemas_are_valid_and_printed(run, name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(_SCHEMAS[name])
    printed = json.loads(run("schema", name).stdout)
    assert {**printed, "$defs": {}} == {**_SCHEMAS[name], "$defs": {}}
    assert printed.get("$defs", {}).items() >= _SCHEMAS[name].get("$defs", {}).items()


def test_a_printed_schema_is_self_contained(run) -> None:
    event = jsonschema.Draft202012Validator(json.loads(run("schema", "event").stdout))
    jsonschema.Draft202012Validator.check_schema(event.schema)
    error = {
        "code": "declined", "message": "no", "hint": None, "location": None, "problems": [], "retryable": False,
        "safe_to_retry": True, "mutation_state": "none", "next_actions": [],
    }  # fmt: skip
    event.validate({"type": "error", "error": error})
    assert not event.is_valid({"type": "error", "error": {**error, "code": 5}})


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_the_schema_describes_every_field_of_every_event(kind) -> None:
    [described] = [
        each["then"]["properties"]
        for each in _SCHEMAS["event"]["allOf"]
        if each["if"]["properties"]["type"]["const"] == kind.type
    ]
    assert set(described) == {field.name for field in fields(kind)}


def _commands(folder: Path) -> dict[str, list[str]]:
    (folder / "sql/2_bad.sql").write_text("select nothing();")
    (folder / "sql/draft.sql").write_text("select 1;")
    return {
        "init": ["init", "new"],
        "init twice": ["init"],
        "validate": ["validate"],
        "validate a mistake": ["validate", "nowhere"],
        "plan": ["plan", "--local"],
        "apply that fails": ["apply", "--local", "--yes"],
        "apply that isn't agreed to": ["apply", "--local"],
        "apply": ["apply", "--local", "--yes", "--only", "static"],
        "apply with nothing to do": ["apply", "--local", "--yes", "--only", "auth"],
        "usage": ["plan", "--wrong"],
        "status": ["status", "--local"],
        "migrate status": ["migrate", "status", "--local"],
        "migrate lint": ["migrate", "lint"],
        "migrate new": ["migrate", "new", "x"],
        "migrate seal": ["migrate", "seal", "y"],
        "migrate rollback": ["migrate", "rollback", "--local", "--yes"],
        "sql": ["sql", "--local", "select 1 as a"],
        "sql that is refused": ["sql", "--local", "--read-only", "drop table t"],
        "sql that fails": ["sql", "--local", "select * from nowhere"],
        "history": ["history", "--local"],
        "projects": ["projects", "list", "--local"],
        "no key": ["projects", "list"],
        "credentials": ["credentials", "--local"],
        "storage": ["storage", "ls", "--local"],
        "open": ["open", "--print", "--local"],
        "doctor": ["doctor", "--local"],
        "explain": ["explain", "lock_held"],
        "codes": ["explain"],
        "local": ["local", "status"],
        "inbox": ["local", "inbox"],
    }


def test_every_command_matches_the_schemas(run, folder: Path) -> None:
    """One project is carried through all of them, so that the tests take no longer than they must."""
    seen: set[str] = set()
    for name, arguments in _commands(folder).items():
        document = json.loads(run(*arguments, "-o", "json").stdout)
        _check_answer(name, document)
        # So that the second one has something to do, too.
        (folder / "public/more.html").write_text(name)
        lines = [json.loads(line) for line in run(*arguments, "-o", "ndjson").stdout.splitlines()]
        assert lines[0]["type"] == "version", name
        for line in lines:
            EVENT.validate(line)
            seen.add(line["type"])
            if line["type"] == "plan":
                PLAN.validate(line)
    assert {"apply_done", "apply_failed", "error", "plan", "rows"} <= seen


def test_an_apply_without_changes_prints_an_apply(run, folder: Path) -> None:
    assert run("apply", "--local", "--yes").returncode == 0
    document = json.loads(run("apply", "--local", "--yes", "-o", "json").stdout)
    assert (document["type"], document["done"], document["error"]) == ("apply", [], None)
    assert document["plan"]["changes"] == []
    assert document["project"]["id"]
    PLAN.validate(document["plan"])
    lines = [json.loads(line) for line in run("apply", "--local", "-o", "ndjson").stdout.splitlines()]
    assert [line["type"] for line in lines] == ["version", "plan", "apply_done"]
    assert lines[-1]["done"] == []
    dry = json.loads(run("apply", "--local", "--dry-run", "-o", "json").stdout)
    assert dry["type"] == "plan"


def _check_answer(name: str, document: dict) -> None:
    assert document["format"] == 1, name
    if document.get("error"):
        ERROR.validate(document["error"])
    plan = document if document["type"] == "plan" else document.get("plan")
    if plan:
        PLAN.validate(plan)


FOLLOWED = {"watching", "live", "kept_live", "resolved", "email", "draft", "draft_removed", "watch_ended", "error",
            "still_failing", "postponed"}  # fmt: skip
"""Types that only `watch` and `dev` print."""


def test_every_line_of_dev_matches_the_schema(folder: Path, platform, run, watching) -> None:  # noqa: F811
    dev = watching("-o", "ndjson", command="dev")
    project = json.loads(dev.until('"type":"watching"'))["project"]
    (folder / "public/index.html").write_text("edited")
    dev.until('"type":"live"')
    (folder / "sql/2_later.sql").write_text("-- later")
    dev.until('"type":"postponed"')
    (folder / "sql/2_later.sql").write_text("select nope;")
    dev.until('"type":"error"', "migration_failed")
    (folder / "sql/2_later.sql").write_text("select  nope;")
    dev.until('"type":"still_failing"')
    (folder / "sql/2_later.sql").unlink()
    dev.until('"type":"resolved"')
    (folder / "sql/draft.sql").write_text("alter table t add b int; drop table nothing;")
    dev.until('"type":"error"', "draft_failed")
    (folder / "sql/draft.sql").write_text(
        "alter table t add b int, alter id type bigint; create table u (id int);"
    )
    dev.until('"type":"draft"')
    dev.until('"type":"resolved"')
    asked = f"{platform.url}/v1/project/{project}/auth/magic-link"
    key = {"X-API-Key": platform.api_key}
    assert httpx.post(asked, headers=key, json={"email": "ada@example.com"}).status_code == 200
    dev.until('"type":"email"')
    (folder / "sql/draft.sql").unlink()
    dev.until('"type":"draft_removed"')
    (folder / "public/index.html").unlink()
    (folder / "public/other.html").write_text("so that there is a site")
    dev.until('"type":"kept_live"')
    assert dev.end() == 130
    dev.until('"type":"watch_ended"')
    lines = [json.loads(line) for line in dev.output if line.startswith("{")]
    described = {
        each["if"]["properties"]["type"]["const"]: each["then"]["properties"]
        for each in _SCHEMAS["event"]["allOf"]
    }
    for line in lines:
        EVENT.validate(line)
        if line["type"] in FOLLOWED:
            assert set(line) - {"type"} <= set(described[line["type"]]), line
    assert {line["type"] for line in lines} >= FOLLOWED
    [draft] = [line for line in lines if line["type"] == "draft"]
    assert [(each["action"], each["kind"]) for each in draft["changes"]] == [
        ("add", "column"), ("change", "column"), ("add", "table"),
    ]  # fmt: skip
    assert [each["code"] for each in draft["hazards"]] != []
