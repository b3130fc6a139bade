"""Calls a tool and checks what holds for every answer."""

from __future__ import annotations

from typing import Any

import jsonschema
from mcp import Client

from mosaic_deploy.schema_files import read_schema
from tests.offered_commands import check_suggested, suggested_in

_ERROR = jsonschema.Draft202012Validator({**read_schema("error.schema.json"), "unevaluatedProperties": False})
"""The schema of errors, closed: no other fields."""
_PLAN = jsonschema.Draft202012Validator(read_schema("plan.schema.json"))


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """The tool's document. Checks errors and plans against the schemas, and that suggested commands can be run."""
    result = await client.call_tool(tool, arguments)
    document = result.structured_content
    assert document is not None
    assert result.is_error == (document.get("error") is not None)
    for error in (document.get("error"), document.get("problem")):
        if error:
            _ERROR.validate(error)
    plan = document if document.get("type") == "plan" else document.get("plan")
    if plan:
        _PLAN.validate(plan)
    check_suggested(suggested_in(document))
    return document
