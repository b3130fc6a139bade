"""What an agent's call is about: a folder below the server's root, and the account it goes to."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.cli.session import Session, open_session
from mosaic_deploy.errors import SourceRefused

_TIMEOUT = 30.0
"""Seconds, as on the command line."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which project an agent means. `path` is a folder with a manifest, or a manifest, below `root`."""

    root: Path
    path: str = "."
    environment: str | None = None
    local: bool = False
    project_id: str | None = None

    @property
    def place(self) -> Path:
        """`path` from `root`. Raises SourceRefused for one that leads out of it."""
        return inside(self.root, self.path)

    def open(self) -> Session:
        """The manifest read and the account found. Raises MosaicError's children."""
        return open_session(
            str(self.place),
            environment=self.environment,
            local=self.local,
            project_id=self.project_id,
            timeout=_TIMEOUT,
        )


def inside(root: Path, path: str) -> Path:
    """`path` as an absolute one below `root`. Raises SourceRefused for one that leads out of it."""
    try:
        place = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceRefused(f"{path!r} can't be read: {error}") from None
    if not place.is_relative_to(root.resolve()):
        raise SourceRefused(
            f"{path!r} is outside of {root}, the folder this server works in",
            hint="start it with --root for another folder",
        )
    return place


def apply_command(session: Session) -> str:
    """What a person pastes to apply the same thing."""
    return shlex.join(["mosaic-deploy", "apply", *session.scope])
