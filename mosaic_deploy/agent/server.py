"""The MCP server: each tool's name, arguments and annotations, as agents see them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations
from pydantic import Field, ValidationError

from mosaic_deploy.agent import tools
from mosaic_deploy.agent.account import ToolTarget
from mosaic_deploy.agent.arguments import invalid_arguments, refuse_unknown, unknown_tool
from mosaic_deploy.cli.render.documents import Document, error_document
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.schema_files import read_schema_text
from mosaic_deploy.shipped_docs import doc_names, read_doc, read_skill
from mosaic_deploy.source.manifest.read import SCHEMA
from mosaic_deploy.version import __version__

INSTRUCTIONS = """\
Deploys projects to Mosaic (PostgreSQL, static hosting, storage, sign-in) from one mosaic.yaml.
Read mosaic://schema/manifest, write the manifest, then: validate, plan, look at the plan, apply with its
fingerprint, status. `local: true` uses a complete platform on this machine and needs no account: rehearse there.
An error says where, what and what to do; `explain` tells more about its code, and the commands in its next_actions
are for a shell. What destroys data is refused here: a person applies it at a terminal. mosaic://skill has all of it
on one page."""

Path_ = Annotated[
    str, Field(description="A folder with a mosaic.yaml, or a manifest, below the server's root.")
]
Environment = Annotated[
    str | None, Field(description="An entry of `environments`; by default MOSAIC_ENV, else none.")
]
Local = Annotated[bool, Field(description="The embedded platform on this machine, started if need be.")]
ProjectId = Annotated[str | None, Field(description="The project's id, where the manifest's isn't meant.")]

_READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)
_READS_LOCALLY = _READS.model_copy(update={"open_world_hint": False})
_APPLIES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
)
_SENDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)


def serve(root: Path, port: int | None) -> None:
    """Serves until standard input ends, or on 127.0.0.1 until interrupted."""
    server = make_server(root)
    if port is None:
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=port)


def make_server(root: Path) -> MCPServer[Any]:
    """The server with all tools and resources, working below `root`."""
    server = _Server([*_deploy_tools(root), *_read_tools(root)])
    _add_resources(server)
    return server


class _Server(MCPServer[Any]):
    """What can't be called as it was is refused as everything else is: with the document of an error."""

    def __init__(self, offered: list[Tool]) -> None:
        super().__init__(
            "mosaic-deploy",
            instructions=INSTRUCTIONS,
            version=__version__,
            log_level="WARNING",
            tools=offered,
        )
        self._tools_by_name = {tool.name: tool for tool in offered}

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Any = None
    ) -> CallToolResult | InputRequiredResult:
        try:
            if name not in self._tools_by_name:
                raise unknown_tool(name, self._tools_by_name)
            refuse_unknown(name, arguments, self._tools_by_name[name].parameters)
            return await super().call_tool(name, arguments, context)
        except MosaicError as error:
            return _tool_result(_error_response(error))
        except ToolError as error:
            return _tool_result(_error_response(_tool_error(name, error)))


def _tool_error(name: str, error: ToolError) -> MosaicError:
    """Of arguments that don't fit; anything else is a defect."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return invalid_arguments(name, [dict(each) for each in cause.errors(include_url=False)])
    told = f"{type(cause).__name__}: {cause}" if cause else str(error)
    return MosaicError(f"a defect in mosaic-deploy: {told}", mutation_state="unknown")


def _tool(annotations: ToolAnnotations) -> Callable[[Callable[..., CallToolResult]], Tool]:
    """Makes a tool of a function; its schema says that there are no other arguments, as `call_tool` does."""

    def make(function: Callable[..., CallToolResult]) -> Tool:
        tool = Tool.from_function(function, annotations=annotations)
        tool.parameters["additionalProperties"] = False
        return tool

    return make


def _deploy_tools(root: Path) -> Iterator[Tool]:
    @_tool(_READS_LOCALLY)
    def validate(
        path: Path_ = ".",
        text: Annotated[
            str | None, Field(description="A manifest's text, checked as if it stood in the folder.")
        ] = None,
        environment: Environment = None,
    ) -> CallToolResult:
        """Check the manifest, SQL and files without a network; every mistake at once, with file:line:column."""
        return _call_result(lambda: tools.validate(root, path, text, environment))

    yield validate

    @_tool(_READS)
    def plan(
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Show what apply would add, change and destroy, and why, with hazards. Changes nothing.

        Its `fingerprint` is what apply wants.
        """
        return _call_result(lambda: tools.plan(ToolTarget(root, path, environment, local, project_id)))

    yield plan

    @_tool(_APPLIES)
    def apply(
        fingerprint: Annotated[str, Field(description="Of the plan that was looked at.")],
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Apply exactly the plan of that fingerprint; refused where something moved since, or data would be destroyed.

        Calling it again is harmless: a plan that is applied already is said to be. After a run that stopped, a
        new plan holds what remains.
        """
        return _call_result(
            lambda: tools.apply(ToolTarget(root, path, environment, local, project_id), fingerprint)
        )

    yield apply


def _read_tools(root: Path) -> Iterator[Tool]:
    @_tool(_READS)
    def status(
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Show what is live: URL, migrations, files, storage, the last deploy, and what is pending."""
        return _call_result(lambda: tools.status(ToolTarget(root, path, environment, local, project_id)))

    yield status

    @_tool(_READS)
    def query(
        sql: Annotated[str, Field(description="One SELECT, EXPLAIN or SHOW.")],
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
        limit: Annotated[int, Field(ge=1, le=tools.MAX_ROWS, description="At most so many rows.")] = 100,
    ) -> CallToolResult:
        """Ask the project's database, in a read-only transaction: nothing is written, whatever is sent.

        Answers 256 KiB of rows at most; `more` tells that there are more.
        """
        return _call_result(
            lambda: tools.query(ToolTarget(root, path, environment, local, project_id), sql, limit)
        )

    yield query

    @_tool(_READS)
    def list_projects(local: Local = False) -> CallToolResult:
        """List the account's projects with id, name, URL and status."""
        return _call_result(lambda: tools.projects(root, local=local))

    yield list_projects

    @_tool(_READS_LOCALLY)
    def inbox() -> CallToolResult:
        """Read the mails that the embedded platform would have sent, such as sign-in links. The newest first."""
        return _call_result(tools.inbox)

    yield inbox

    @_tool(_READS_LOCALLY)
    def explain(
        code: Annotated[str, Field(description="Of an error or a hazard, such as lease_held or drop_table.")],
    ) -> CallToolResult:
        """Tell what a code means, what causes it and what to do."""
        return _call_result(lambda: tools.explain(code))

    yield explain

    @_tool(_SENDS)
    def submit_ticket(
        subject: Annotated[str, Field(description="In one line.")],
        message: Annotated[str, Field(description="What was tried, what came of it, and the request's id.")],
        project_id: ProjectId = None,
        local: Local = False,
    ) -> CallToolResult:
        """Submit a ticket to the platform's support: only when the person you work for has read it and agrees."""
        return _call_result(lambda: tools.ticket(root, subject, message, project_id, local=local))

    yield submit_ticket


def _add_resources(server: MCPServer[Any]) -> None:
    @server.resource(
        "mosaic://schema/manifest", title="The manifest's JSON Schema", mime_type="application/schema+json"
    )
    def manifest_schema() -> str:
        """Every field of mosaic.yaml, with a description and an example."""
        return read_schema_text(SCHEMA)

    @server.resource("mosaic://skill", title="How to deploy with mosaic-deploy", mime_type="text/markdown")
    def skill() -> str:
        """The workflow, the rules of consent, every field, command and error code, on one page."""
        return read_skill()

    for name in doc_names():
        server.resource(f"mosaic://docs/{name}", name=name, mime_type="text/markdown")(_doc_reader(name))


def _doc_reader(name: str) -> Callable[[], str]:
    def page() -> str:
        return read_doc(name)

    return page


def _call_result(call: Callable[[], Document]) -> CallToolResult:
    """A call's document; of an error its document, marked as one, so that an agent can act on it."""
    try:
        return _tool_result(call())
    except MosaicError as error:
        return _tool_result(_error_response(error))


def _error_response(error: MosaicError) -> Document:
    return {"type": "error", "error": error_document(error)}


def _tool_result(document: Document) -> CallToolResult:
    whole = json.loads(json.dumps(document, default=str))
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=whole,
        is_error=whole.get("error") is not None,
    )
