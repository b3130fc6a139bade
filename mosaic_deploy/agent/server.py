"""The MCP server: the tools' names, arguments, descriptions and annotations, and the resources."""

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
from mosaic_deploy.agent.http import serve_http
from mosaic_deploy.cli.render.json_documents import error_document
from mosaic_deploy.cli.render.schema_documents import Document
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.git import repository_root
from mosaic_deploy.schema_files import read_schema_text
from mosaic_deploy.shipped_docs import doc_names, read_doc, read_skill
from mosaic_deploy.source.manifest.read import SCHEMA
from mosaic_deploy.version import __version__

INSTRUCTIONS = """\
Deploys projects to Mosaic (PostgreSQL, static hosting, object storage, magic-link sign-in) from one mosaic.yaml.
Read mosaic://schema/manifest, write the manifest, then call: validate, plan, apply with the plan's fingerprint, status.
Try it first with `local: true`, which uses a complete platform on this machine and needs no account.
Errors have a location, a hint and next_actions, whose commands are for a shell; `explain` describes an error code.
What destroys data, or deletes or replaces live files, is refused unless a person has allowed it (in the committed
manifest's policy or when starting this server): a person applies it at a terminal. Editing the policy doesn't help.
mosaic://skill has everything on one page."""

Path_ = Annotated[
    str, Field(description="A folder with a mosaic.yaml, or a manifest file, below the server's root.")
]
Environment = Annotated[
    str | None, Field(description="An entry of the manifest's `environments`; default: MOSAIC_ENV.")
]
Local = Annotated[bool, Field(description="Use the embedded platform on this machine; starts it if needed.")]
ProjectId = Annotated[str | None, Field(description="The project ID, if not the manifest's.")]

_READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)
_READS_LOCALLY = _READS.model_copy(update={"open_world_hint": False})
_APPLIES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
)
_BUILDS = _READS.model_copy(update={"read_only_hint": False})
"""For `plan`, if it may run the manifest's build."""
_SENDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)


def serve(root: Path, port: int | None, allow: frozenset[str] = frozenset(), *, build: bool = False) -> None:
    """Serves stdio until stdin ends, or 127.0.0.1:`port` until interrupted. For the rest see `make_server`."""
    server = make_server(root, allow, build=build)
    if port is None:
        server.run("stdio")
    else:
        serve_http(server, port)


def make_server(root: Path, allow: frozenset[str] = frozenset(), *, build: bool = False) -> MCPServer[Any]:
    """The server with all tools and resources, working below `root`.

    `allow` are the kinds of approval that agents don't need: `destructive`, `prune`, `overwrite`. `build`: plan and apply run
    the build of a manifest.
    """
    repository = repository_root(root)

    def target(path: str, environment: str | None, local: bool, project_id: str | None) -> ToolTarget:
        return ToolTarget(root, path, environment, local, project_id, allow, repository, build)

    server = _Server([*_deploy_tools(root, target, build=build), *_read_tools(root, target)])
    _add_resources(server)
    return server


class _Server(MCPServer[Any]):
    """Answers invalid calls with an error document, as the tools do."""

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
    """For invalid arguments; anything else is a defect of ours."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return invalid_arguments(name, [dict(each) for each in cause.errors(include_url=False)])
    message = f"{type(cause).__name__}: {cause}" if cause else str(error)
    return MosaicError(f"a defect in mosaic-deploy: {message}", mutation_state="unknown")


def _tool(annotations: ToolAnnotations) -> Callable[[Callable[..., CallToolResult]], Tool]:
    """Makes a tool of a function; the schema forbids other arguments, as `call_tool` does."""

    def make(function: Callable[..., CallToolResult]) -> Tool:
        tool = Tool.from_function(function, annotations=annotations)
        tool.parameters["additionalProperties"] = False
        return tool

    return make


def _deploy_tools(root: Path, target: Callable[..., ToolTarget], *, build: bool) -> Iterator[Tool]:
    @_tool(_READS_LOCALLY)
    def validate(
        path: Path_ = ".",
        text: Annotated[
            str | None, Field(description="A manifest's content to check instead of the file in the folder.")
        ] = None,
        environment: Environment = None,
    ) -> CallToolResult:
        """Check the manifest, SQL and files without a network. Reports all mistakes at once, with file:line:column."""
        return _call_result(lambda: tools.validate(root, path, text, environment))

    yield validate

    @_tool(_BUILDS if build else _READS)
    def plan(
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Show what apply would add, change and destroy, with reasons and hazards. Changes nothing.

        Pass its `fingerprint` to apply. If `needs_person` isn't empty, apply refuses: show the plan to your user.
        """
        return _call_result(lambda: tools.plan(target(path, environment, local, project_id)))

    yield plan

    @_tool(_APPLIES)
    def apply(
        fingerprint: Annotated[str, Field(description="The fingerprint of the reviewed plan.")],
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Apply exactly the plan with that fingerprint. Refused if anything changed since, or a person must approve it.

        Safe to call again: a plan that is already applied is reported as such. After a failed run, a new plan has
        the remaining changes.
        """
        return _call_result(lambda: tools.apply(target(path, environment, local, project_id), fingerprint))

    yield apply


def _read_tools(root: Path, target: Callable[..., ToolTarget]) -> Iterator[Tool]:
    @_tool(_READS)
    def status(
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Show what is live (URL, migrations, files, storage, last deploy) and what is pending."""
        return _call_result(lambda: tools.status(target(path, environment, local, project_id)))

    yield status

    @_tool(_READS)
    def query(
        sql: Annotated[str, Field(description="One SELECT, EXPLAIN or SHOW.")],
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
        limit: Annotated[int, Field(ge=1, le=tools.MAX_ROWS, description="Maximum number of rows.")] = 100,
    ) -> CallToolResult:
        """Query the project's database in a read-only transaction.

        Returns at most 256 KiB of rows; `more` is true if there are more.
        """
        return _call_result(lambda: tools.query(target(path, environment, local, project_id), sql, limit))

    yield query

    @_tool(_READS)
    def list_projects(local: Local = False) -> CallToolResult:
        """List the account's projects with ID, name, URL and status."""
        return _call_result(lambda: tools.projects(root, local=local))

    yield list_projects

    @_tool(_READS_LOCALLY)
    def inbox() -> CallToolResult:
        """List the emails of the embedded platform, such as magic links, the newest first."""
        return _call_result(tools.inbox)

    yield inbox

    @_tool(_READS_LOCALLY)
    def explain(
        code: Annotated[
            str, Field(description="The code of an error or a hazard, such as lock_held or drop_table.")
        ],
    ) -> CallToolResult:
        """Explain a code: its meaning, causes and fix."""
        return _call_result(lambda: tools.explain(code))

    yield explain

    @_tool(_SENDS)
    def submit_ticket(
        subject: Annotated[str, Field(description="One line.")],
        message: Annotated[str, Field(description="What you tried, what happened, and the request ID.")],
        project_id: ProjectId = None,
        local: Local = False,
    ) -> CallToolResult:
        """Submit a support ticket. Only after your user has read it and agreed."""
        return _call_result(lambda: tools.ticket(root, subject, message, project_id, local=local))

    yield submit_ticket


def _add_resources(server: MCPServer[Any]) -> None:
    @server.resource(
        "mosaic://schema/manifest", title="The manifest's JSON Schema", mime_type="application/schema+json"
    )
    def manifest_schema() -> str:
        """Every field of mosaic.yaml, with a description and an example."""
        return read_schema_text(SCHEMA)

    @server.resource("mosaic://skill", title="Deploying with mosaic-deploy", mime_type="text/markdown")
    def skill() -> str:
        """The workflow, the rules, and every field, command and error code on one page."""
        return read_skill()

    for name in doc_names():
        server.resource(f"mosaic://docs/{name}", name=name, mime_type="text/markdown")(_doc_reader(name))


def _doc_reader(name: str) -> Callable[[], str]:
    def page() -> str:
        return read_doc(name)

    return page


def _call_result(call: Callable[[], Document]) -> CallToolResult:
    """The document of a call, or of the error it raises, which is marked as an error."""
    try:
        return _tool_result(call())
    except MosaicError as error:
        return _tool_result(_error_response(error))


def _error_response(error: MosaicError) -> Document:
    return {"type": "error", "error": error_document(error)}


def _tool_result(document: Document) -> CallToolResult:
    plain = json.loads(json.dumps(document, default=str))
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=plain,
        is_error=plain.get("error") is not None,
    )
