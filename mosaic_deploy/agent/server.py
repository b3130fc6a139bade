"""The MCP server: each tool's name, arguments and annotations, as agents see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from mosaic_deploy.agent import tools
from mosaic_deploy.agent.account import Target
from mosaic_deploy.cli.render.documents import Document, error_document
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.schema_files import read_schema_text
from mosaic_deploy.shipped_docs import doc_names, read_doc
from mosaic_deploy.source.manifest import SCHEMA
from mosaic_deploy.version import __version__

INSTRUCTIONS = """\
Deploys projects to Mosaic (PostgreSQL, static hosting, storage, sign-in) from one mosaic.yaml.
Read mosaic://schema/manifest, write the manifest, then: validate, plan, look at the plan, apply with its
fingerprint, status. `local: true` uses a complete platform on this machine and needs no account: rehearse there.
An error says where, what and what to do; `explain` tells more about its code. What destroys data is refused here:
a person applies it at a terminal."""

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
_READS_HERE = _READS.model_copy(update={"open_world_hint": False})
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
    server: MCPServer[Any] = MCPServer(
        "mosaic-deploy", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING"
    )
    _add_deploying(server, root)
    _add_looking(server, root)
    _add_resources(server)
    return server


def _add_deploying(server: MCPServer[Any], root: Path) -> None:
    @server.tool(annotations=_READS_HERE)
    def validate(
        path: Path_ = ".",
        text: Annotated[
            str | None, Field(description="A manifest's text, checked as if it stood in the folder.")
        ] = None,
        environment: Environment = None,
    ) -> CallToolResult:
        """Check the manifest, SQL and files without a network; every mistake at once, with file:line:column."""
        return _result(lambda: tools.validate(root, path, text, environment))

    @server.tool(annotations=_READS)
    def plan(
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Show what apply would add, change and destroy, and why, with hazards. Changes nothing.

        Its `fingerprint` is what apply wants.
        """
        return _result(lambda: tools.plan(Target(root, path, environment, local, project_id)))

    @server.tool(annotations=_APPLIES)
    def apply(
        fingerprint: Annotated[str, Field(description="Of the plan that was looked at.")],
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Apply exactly the plan of that fingerprint; refused where something moved since, or data would be destroyed.

        Applying again goes on where a run was stopped.
        """
        return _result(lambda: tools.apply(Target(root, path, environment, local, project_id), fingerprint))


def _add_looking(server: MCPServer[Any], root: Path) -> None:
    @server.tool(annotations=_READS)
    def status(
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Show what is live: URL, migrations, files, storage, the last deploy, and what is pending."""
        return _result(lambda: tools.status(Target(root, path, environment, local, project_id)))

    @server.tool(annotations=_READS)
    def query(
        sql: Annotated[str, Field(description="One SELECT, EXPLAIN or SHOW.")],
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
        limit: Annotated[int, Field(ge=1, le=tools.MOST_ROWS, description="At most so many rows.")] = 100,
    ) -> CallToolResult:
        """Ask the project's database, in a read-only transaction: nothing is written, whatever is sent."""
        return _result(lambda: tools.query(Target(root, path, environment, local, project_id), sql, limit))

    @server.tool(annotations=_READS)
    def list_projects(local: Local = False) -> CallToolResult:
        """List the account's projects with id, name, URL and status."""
        return _result(lambda: tools.projects(root, local=local))

    @server.tool(annotations=_READS_HERE)
    def inbox() -> CallToolResult:
        """Read the mails that the embedded platform would have sent, such as sign-in links. The newest first."""
        return _result(tools.inbox)

    @server.tool(annotations=_READS_HERE)
    def explain(
        code: Annotated[str, Field(description="Of an error or a hazard, such as lease_held or drop_table.")],
    ) -> CallToolResult:
        """Tell what a code means, what causes it and what to do."""
        return _result(lambda: tools.explain(code))

    @server.tool(annotations=_SENDS)
    def submit_ticket(
        subject: str, message: str, project_id: ProjectId = None, local: Local = False
    ) -> CallToolResult:
        """Submit a ticket to the platform's support. Ask the person you work for first."""
        return _result(lambda: tools.ticket(root, subject, message, project_id, local=local))


def _add_resources(server: MCPServer[Any]) -> None:
    @server.resource(
        "mosaic://schema/manifest", title="The manifest's JSON Schema", mime_type="application/schema+json"
    )
    def manifest_schema() -> str:
        """Every field of mosaic.yaml, with a description and an example."""
        return read_schema_text(SCHEMA)

    for name in doc_names():
        server.resource(f"mosaic://docs/{name}", name=name, mime_type="text/markdown")(_page(name))


def _page(name: str) -> Callable[[], str]:
    def page() -> str:
        return read_doc(name)

    return page


def _result(call: Callable[[], Document]) -> CallToolResult:
    """A call's document; of an error its document, marked as one, so that an agent can act on it."""
    try:
        document = call()
    except MosaicError as error:
        document = {"type": "error", "error": error_document(error)}
    except LookupError as error:
        document = {"type": "error", "error": {"code": "usage", "message": str(error)}}
    whole = json.loads(json.dumps(document, default=str))
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=whole,
        is_error=whole.get("error") is not None,
    )
