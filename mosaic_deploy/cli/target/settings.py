"""Settings from the environment and `.env`."""

from __future__ import annotations

import os
from pathlib import Path

from mosaic_deploy.source.manifest.dotenv import read_dotenv
from mosaic_deploy.source.manifest.find import find_manifest


def read_settings(root: Path) -> dict[str, str]:
    """`.env`, overridden by the environment. Empty environment variables count as unset."""
    return {**read_dotenv(root), **{name: value for name, value in os.environ.items() if value}}


def resolve_environment(path: str, flag: str | None) -> str | None:
    """The manifest environment: `--env`, else MOSAIC_ENV from the environment or `.env`. Raises ManifestMissing."""
    return flag or read_settings(find_manifest(Path(path)).parent).get("MOSAIC_ENV") or None
