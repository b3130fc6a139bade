"""Which extensions the database server has."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from mosaic_deploy.errors import ManifestInvalid, Problem
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.quantities import count_text

_AVAILABLE = "SELECT name::text FROM pg_catalog.pg_available_extensions"


def refuse_unavailable(api: Api, project: str, manifest: Manifest, names: Collection[str]) -> None:
    """Raises ManifestInvalid if the server doesn't have one of the extensions `names`. One request, if there are any.

    `project` is the ID, empty if it isn't running yet. If the server lists none, `CREATE EXTENSION` has to show it.
    """
    available = [str(row["name"]) for row in api.sql(project, _AVAILABLE)] if project and names else []
    missing = [name for name in names if name not in available]
    if not available or not missing:
        return
    problems = [_problem(manifest, name, available) for name in missing]
    raise ManifestInvalid(
        f"{manifest.file.name} names {count_text(len(missing), 'extension')} that the server doesn't have",
        problems=problems,
    )


def extension_field(manifest: Manifest, name: str) -> str:
    """The field that names the extension, such as `database.extensions[0]`."""
    named = manifest.database.extensions if manifest.database else ()
    return f"database.extensions[{named.index(name)}]" if name in named else "database.extensions"


def _problem(manifest: Manifest, name: str, available: list[str]) -> Problem:
    field = extension_field(manifest, name)
    close = get_close_matches(name, available, 1)
    hint = f'did you mean "{close[0]}"?' if close else "remove it, or install it on the server first"
    return Problem(f'the server has no extension "{name}"', manifest.locate(field), field=field, hint=hint)
