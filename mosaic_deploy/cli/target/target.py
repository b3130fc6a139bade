"""The options that select a project: PATH, `--env`, `--local`, `--project` and `--timeout`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mosaic_deploy.cli.target.project_manifest import ManifestUse
    from mosaic_deploy.cli.target.session import Session


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """`path` is a manifest or a folder with one; `timeout` is in seconds."""

    path: str
    environment: str | None
    local: bool
    project_id: str | None
    timeout: float

    def open(self, manifest: ManifestUse = "required") -> Session:
        """Opens a session: see `open_session`."""
        from mosaic_deploy.cli.target.session import open_session

        return open_session(
            self.path,
            environment=self.environment,
            local=self.local,
            project_id=self.project_id,
            timeout=self.timeout,
            manifest_use=manifest,
        )
