"""The target of an agent's call: a folder below the server's root, and the account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.next_commands import Scope
from mosaic_deploy.cli.support_ticket import offer_ticket
from mosaic_deploy.cli.target.api_access import open_api
from mosaic_deploy.cli.target.session import Session, open_session
from mosaic_deploy.errors import EnvironmentRequired, KeyMissing, MosaicError, NextAction, UsageInvalid

if TYPE_CHECKING:
    from mosaic_deploy.cli.target.project_manifest import ManifestUse
    from mosaic_deploy.live.api.client import Api

_TIMEOUT = 30.0
"""Seconds, as on the command line."""


@dataclass(frozen=True, slots=True)
class ToolTarget:
    """The project of a call. `path` is a manifest, or a folder with one, below `root`."""

    root: Path
    path: str = "."
    environment: str | None = None
    local: bool = False
    project_id: str | None = None

    @property
    def absolute_path(self) -> Path:
        """Raises UsageInvalid if `path` is outside `root`."""
        return resolve_inside(self.root, self.path)

    def open(self, tool: str, manifest: ManifestUse = "required") -> Session:
        """Reads the manifest and finds the account for a call of `tool`. Raises MosaicError's children."""
        with _explain_missing_key(self.root), _explain_missing_environment():
            return open_session(
                str(self.absolute_path),
                environment=self.environment,
                local=self.local,
                project_id=self.project_id,
                timeout=_TIMEOUT,
                attempted_command=_tool_call(tool),
                manifest_use=manifest,
            )


@contextmanager
def open_tool_api(root: Path, tool: str, *, local: bool) -> Iterator[Api]:
    """The account's API for a call of `tool` without a project. Raises MosaicError's children."""
    try:
        with _explain_missing_key(root), open_api(root, local=local) as api:
            yield api
    except MosaicError as error:
        offer_ticket(error, _tool_call(tool), Scope(local=local, path=str(root)))
        raise


def _tool_call(tool: str) -> str:
    return f"the tool {tool} of mosaic-deploy mcp"


@contextmanager
def _explain_missing_key(root: Path) -> Iterator[None]:
    """Replaces the hint about the command line, which an agent can't change."""
    try:
        yield
    except KeyMissing as error:
        error.hint = (
            "call the tool with local: true to use the embedded platform, which needs no key; for the account, a "
            f"person sets MOSAIC_API_KEY in this server's environment or in {root / '.env'}, or logs in"
        )
        error.next_actions = (
            NextAction(
                "a person can save an API key on this machine", "mosaic-deploy login", needs_person=True
            ),
        )
        raise


@contextmanager
def _explain_missing_environment() -> Iterator[None]:
    """Replaces the hint about the command line by one about the tool's argument."""
    try:
        yield
    except EnvironmentRequired as error:
        error.hint, error.next_actions = "call the tool again with environment", ()
        raise


def resolve_inside(root: Path, path: str) -> Path:
    """`path` as an absolute path. Raises UsageInvalid if it is outside `root`."""
    try:
        place = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageInvalid(f"invalid path {path!r}: {error}") from None
    if not place.is_relative_to(root.resolve()):
        raise UsageInvalid(
            f"{path!r} is outside the server's root folder {root}",
            hint="a person can start `mosaic-deploy mcp` with another --root",
        )
    return place
