"""What the definitions of tools share: arguments, annotations, and the document of a call as its result."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from mosaic_deploy.cli.render.json_documents import error_document
from mosaic_deploy.cli.render.schema_documents import Document
from mosaic_deploy.errors import MosaicError

Path_ = Annotated[
    str, Field(description="A folder with a mosaic.yaml, or a manifest file, below the server's root.")
]
Environment = Annotated[
    str | None, Field(description="An entry of the manifest's `environments`; default: MOSAIC_ENV.")
]
Local = Annotated[bool, Field(description="Use the embedded platform on this machine; starts it if needed.")]
ProjectId = Annotated[str | None, Field(description="The project ID, if not the manifest's.")]

READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)
READS_LOCALLY = READS.model_copy(update={"open_world_hint": False})
APPLIES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
)
BUILDS = READS.model_copy(update={"read_only_hint": False})
"""For `plan`, if it may run the manifest's build."""
SENDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)


def tool(annotations: ToolAnnotations) -> Callable[[Callable[..., CallToolResult]], Tool]:
    """Makes a tool of a function; the schema forbids other arguments, as `call_tool` does."""

    def make(function: Callable[..., CallToolResult]) -> Tool:
        made = Tool.from_function(function, annotations=annotations)
        made.parameters["additionalProperties"] = False
        return made

    return make


def call_result(call: Callable[[], Document]) -> CallToolResult:
    """The document of a call, or of the error it raises, which is marked as an error."""
    try:
        return tool_result(call())
    except MosaicError as error:
        return tool_result(error_response(error))


def error_response(error: MosaicError) -> Document:
    return {"type": "error", "error": error_document(error)}


def tool_result(document: Document) -> CallToolResult:
    plain = json.loads(json.dumps(document, default=str))
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=plain,
        is_error=plain.get("error") is not None,
    )
