"""The manifest of a command, which some commands don't need, and the refusal to guess its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.settings import read_settings, resolve_environment
from mosaic_deploy.errors import EnvironmentRequired, ManifestInvalid, ManifestMissing, NextAction
from mosaic_deploy.model.command_line import with_options
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES
from mosaic_deploy.source.manifest.read import read_manifest

ManifestUse = Literal["required", "if_there", "project_only"]
"""`required`: to deploy or compare. `if_there`: it may be missing if a project ID is given. `project_only`: it only
selects the project, so with a project ID its mistakes don't matter either."""


def read_project_manifest(
    path: str, environment: str | None, project_id: str | None, use: ManifestUse, *, local: bool
) -> Manifest:
    """The manifest at `path`; an empty one if it isn't needed, because a project ID is given.

    Raises ManifestMissing, ManifestInvalid, EnvironmentRequired, SourceUnreadable.
    """
    has_id = use != "required" and (project_id or _configured_id(path)) is not None
    try:
        chosen = resolve_environment(path, environment)
        manifest = read_manifest(Path(path), environment=chosen)
    except ManifestMissing as error:
        if has_id and environment is None and Path(path).is_dir():
            return Manifest(Path(path) / MANIFEST_NAMES[0])
        if use != "required":
            error.hint = "run this in a folder with a mosaic.yaml, or pass --project ID"
            listing = with_options("mosaic-deploy projects list", *(["--local"] if local else []))
            error.next_actions = (NextAction("list the project IDs", listing),)
        if has_id:
            exists = Path(path).is_dir()
            error.hint = "--env needs a mosaic.yaml" if exists else "run this in a folder that exists"
            error.next_actions = ()
        raise
    except ManifestInvalid:
        if has_id and use == "project_only" and environment is None:
            return Manifest(Path(path) / MANIFEST_NAMES[0] if Path(path).is_dir() else Path(path))
        raise
    if not (has_id and use == "project_only"):
        _refuse_missing_environment(manifest)
    return manifest


def _configured_id(path: str) -> str | None:
    """MOSAIC_PROJECT_ID from the environment or from `.env` in the project folder."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    return read_settings(folder).get("MOSAIC_PROJECT_ID") or None


def _refuse_missing_environment(manifest: Manifest) -> None:
    """Raises EnvironmentRequired if only the environments name a project: without one, a new project would be made."""
    project = manifest.project
    if manifest.environment or not manifest.environments or project.name or project.id:
        return
    raise EnvironmentRequired(
        f"{manifest.file.name} has environments, so choose one: {', '.join(manifest.environments)}",
        hint="pass --env NAME or set MOSAIC_ENV; to deploy without an environment, add project.name to the manifest",
        location=manifest.locate("environments"),
        next_actions=[
            NextAction(f"for {name}", with_options(command_line(), "--env", name))
            for name in manifest.environments
        ],
    )
