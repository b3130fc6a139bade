"""The MCP server's tools for storage files: names, arguments, descriptions and annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field

from mosaic_deploy.agent import storage
from mosaic_deploy.agent.account import ToolTarget
from mosaic_deploy.agent.tool import APPLIES, READS, Environment, Local, Path_, ProjectId, call_result, tool

_DryRun = Annotated[
    bool, Field(description="Only show what would be done, and in `needs_person` who must approve.")
]


def storage_tools(target: Callable[..., ToolTarget]) -> Iterator[Tool]:
    """`target` makes the target of a call from its path, environment, local and project_id."""

    @tool(READS)
    def list_storage(
        prefix: Annotated[str, Field(description="The start of the names, or a glob such as **/*.png.")] = "",
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
        limit: Annotated[
            int, Field(ge=1, le=storage.MAX_FILES, description="Maximum number of files.")
        ] = 100,
    ) -> CallToolResult:
        """List storage files with size and public URL. `total` is the number of those that match."""
        chosen = target(path, environment, local, project_id)
        return call_result(lambda: storage.list_storage(chosen, prefix, limit))

    yield list_storage

    @tool(READS)
    def read_storage_file(
        name: Annotated[str, Field(description="The file's whole name in storage.")],
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
    ) -> CallToolResult:
        """Read a storage file: its public URL, and its text if it is UTF-8 of up to 256 KiB."""
        return call_result(
            lambda: storage.read_storage_file(target(path, environment, local, project_id), name)
        )

    yield read_storage_file

    @tool(APPLIES)
    def upload_storage(
        files: Annotated[
            list[str],
            Field(min_length=1, max_length=storage.MAX_FILES, description="Files below the server's root."),
        ],
        to: Annotated[
            str,
            Field(
                description="Name in storage; with a slash at its end, what precedes the files' own names."
            ),
        ] = "",
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
        dry_run: _DryRun = False,
    ) -> CallToolResult:
        """Publish files in storage, without the manifest; returns their public URLs. No apply changes or prunes them.

        Only new files: a person must approve replacing a live one. Files that a manifest deploys are refused.
        """
        chosen = target(path, environment, local, project_id)
        return call_result(lambda: storage.upload_storage(chosen, files, to, dry_run=dry_run))

    yield upload_storage

    @tool(APPLIES)
    def delete_storage(
        names: Annotated[
            Sequence[str], Field(description="Whole names, `folder/` for all files below it, or globs.")
        ] = (),
        left: Annotated[
            bool,
            Field(
                description="What the manifest deployed earlier and doesn't name any longer; `names` choose among these."
            ),
        ] = False,
        path: Path_ = ".",
        environment: Environment = None,
        local: Local = False,
        project_id: ProjectId = None,
        dry_run: _DryRun = False,
    ) -> CallToolResult:
        """Delete storage files. A person must approve it, unless they allow agents to prune and `left` chooses the files."""
        chosen = target(path, environment, local, project_id)
        return call_result(lambda: storage.delete_storage(chosen, names, left=left, dry_run=dry_run))

    yield delete_storage
