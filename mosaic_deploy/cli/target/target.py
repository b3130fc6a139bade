"""Which project a command means, as one thing: what PATH, `--env`, `--local`, `--project` and `--timeout` say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mosaic_deploy.cli.target.session import Session


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """`path` is a folder with a manifest, or a manifest; `timeout` seconds without an answer."""

    path: str
    environment: str | None
    local: bool
    project_id: str | None
    timeout: float

    def open(self) -> Session:
        """The manifest read, the key found, the platform started where it is the local one. Raises MosaicError's children."""
        from mosaic_deploy.cli.target.session import open_session

        return open_session(
            self.path,
            environment=self.environment,
            local=self.local,
            project_id=self.project_id,
            timeout=self.timeout,
        )
