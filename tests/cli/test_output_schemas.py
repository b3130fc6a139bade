"""What is printed for programs is what the schemas say, for every command, in success and failure."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
from referencing import Registry, Resource

from mosaic_deploy.model.event import Event
from mosaic_deploy.schema_files import read_schema

_SCHEMAS = {name: read_schema(f"{name}.schema.json") for name in ("plan", "event", "error")}
_REGISTRY = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in _SCHEMAS.values()]
)
PLAN, EVENT, ERROR = (
    jsonschema.Draft202012Validator(_SCHEMAS[name], registry=_REGISTRY) for name in ("plan", "event", "error")
)


@pytest.mark.parametrize("name", _SCHEMAS)
def test_the_schemas_are_schemas_and_are_printed(run, name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(_SCHEMAS[name])
    assert json.loads(run("schema", name).stdout) == _SCHEMAS[name]


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_every_event_is_described_field_by_field(kind) -> None:
    [described] = [
        each["then"]["properties"]
        for each in _SCHEMAS["event"]["allOf"]
        if each["if"]["properties"]["type"]["const"] == kind.type
    ]
    assert set(described) == {field.name for field in fields(kind)}


def _commands(folder: Path) -> dict[str, list[str]]:
    (folder / "sql/2_bad.sql").write_text("insert into nothing values (1);")
    return {
        "init": ["init", "new"],
        "init twice": ["init"],
        "validate": ["validate"],
        "validate a mistake": ["validate", "nowhere"],
        "plan": ["plan", "--local"],
        "apply that fails": ["apply", "--local", "--yes"],
        "apply that isn't agreed to": ["apply", "--local"],
        "apply": ["apply", "--local", "--yes", "--only", "static"],
        "usage": ["plan", "--wrong"],
        "status": ["status", "--local"],
        "migrate status": ["migrate", "status", "--local"],
        "migrate lint": ["migrate", "lint"],
        "migrate new": ["migrate", "new", "x"],
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
        "explain": ["explain", "lease_held"],
        "codes": ["explain"],
        "local": ["local", "status"],
    }


def test_every_command_prints_what_the_schemas_say(run, folder: Path) -> None:
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
                PLAN.validate({"mosaic_deploy": "x", "format": 1, **line})
    assert {"apply_done", "apply_failed", "error", "plan", "rows"} <= seen


def _check_answer(name: str, document: dict) -> None:
    assert document["format"] == 1, name
    if document.get("error"):
        ERROR.validate(document["error"])
    plan = document if document["type"] == "plan" else document.get("plan")
    if plan:
        PLAN.validate({"mosaic_deploy": "x", "format": 1, **plan})
