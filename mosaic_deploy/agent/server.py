"""The MCP server: the tools' names, arguments, descriptions and annotations, and the resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import Field, ValidationError

from mosaic_deploy.agent import tools
from mosaic_deploy.agent.account import ToolTarget
from mosaic_deploy.agent.arguments import invalid_arguments, refuse_unknown, unknown_tool
from mosaic_deploy.agent.http import serve_http
from mosaic_deploy.agent.storage_tools import storage_tools
from mosaic_deploy.agent.tool import (
    APPLIES,
    BUILDS,
    READS,
    READS_LOCALLY,
    SENDS,
    Environment,
    Local,
    Path_,
    ProjectId,
    call_result,
    error_response,
    tool,
    tool_result,
)
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

    server = _Server(
        [*_deploy_tools(root, target, build=build), *_read_tools(root, target), *storage_tools(target)]
    )
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
            return tool_result(error_response(error))
        except ToolError as error:
            return tool_result(error_response(_tool_error(name, error)))


def _tool_error(name: str, error: ToolError) -> MosaicError:
    """For invalid arguments; anything else is a defect of ours."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return invalid_arguments(name, [dict(each) for each in cause.errors(include_url=False)])
    message = f"{type(cause).__name__}: {cause}" if cause else str(error)
    return MosaicError(f"a defect in mosaic-deploy: {message}", mutation_state="unknown")


def _deploy_tools(root: Path, target: Callable[..., ToolTarget], *, build: bool) -> Iterator[Tool]:
    @tool(READS_LOCALLY)
    def validate(
        path: Path_ = ".",
        text: Annotated[
            str | None, Field(description="A manifest's content to check instead of the file in the folder.")
        ] = None,
        environment: Environment = None,
    ) -> CallToolResult:
        """Check the manifest, SQL and files without a network. Reports all mistakes at once, with file:line:column."""
        return call_result(lambda: tools.validate(root, path, text, environment))

    yield validate

    @tool(BUILDS if build else READS)
    def plan(
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Show what apply would add, change and destroy, with reasons and hazards. Changes nothing.

        Pass its `fingerprint` to apply. If `needs_person` isn't empty, apply refuses: show the plan to your user.
        """
        return call_result(lambda: tools.plan(target(path, environment, local, project_id)))

    yield plan

    @tool(APPLIES)
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
        return call_result(lambda: tools.apply(target(path, environment, local, project_id), fingerprint))

    yield apply


def _read_tools(root: Path, target: Callable[..., ToolTarget]) -> Iterator[Tool]:
    @tool(READS)
    def status(
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Show what is live (URL, migrations, files, storage, last deploy) and what is pending."""
        return call_result(lambda: tools.status(target(path, environment, local, project_id)))

    yield status

    @tool(READS)
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
        return call_result(lambda: tools.query(target(path, environment, local, project_id), sql, limit))

    yield query

    @tool(READS)
    def list_projects(local: Local = False) -> CallToolResult:
        """List the account's projects with ID, name, URL and status."""
        return call_result(lambda: tools.projects(root, local=local))

    yield list_projects

    @tool(READS_LOCALLY)
    def inbox() -> CallToolResult:
        """List the emails of the embedded platform, such as magic links, the newest first."""
        return call_result(tools.inbox)

    yield inbox

    @tool(READS_LOCALLY)
    def explain(
        code: Annotated[
            str, Field(description="The code of an error or a hazard, such as lock_held or drop_table.")
        ],
    ) -> CallToolResult:
        """Explain a code: its meaning, causes and fix."""
        return call_result(lambda: tools.explain(code))

    yield explain

    @tool(SENDS)
    def submit_ticket(
        subject: Annotated[str, Field(description="One line.")],
        message: Annotated[str, Field(description="What you tried, what happened, and the request ID.")],
        project_id: ProjectId = None,
        local: Local = False,
    ) -> CallToolResult:
        """Submit a support ticket. Only after your user has read it and agreed."""
        return call_result(lambda: tools.ticket(root, subject, message, project_id, local=local))

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
