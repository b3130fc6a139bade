"""The desired side as one Snapshot, with where each of its bytes comes from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from mosaic_deploy.errors import Location, SourceRefused
from mosaic_deploy.model.manifest import MagicLinkSpec, Manifest
from mosaic_deploy.model.snapshot import Object, Project, Settings, Snapshot
from mosaic_deploy.source.files import LocalFile, Selection, read_files, refuse_unserved
from mosaic_deploy.source.migrations import MigrationFile, read_migrations
from mosaic_deploy.source.seeds import read_seeds, seed_objects

AUTH_FILE = "mosaic-auth.json"
"""Where pages find the declared sign-in settings; made by every deploy, never kept on disk."""


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired Snapshot and the sources of its bytes, by name on the platform."""

    manifest: Manifest
    snapshot: Snapshot
    migrations: tuple[MigrationFile, ...] = ()
    seeds: tuple[MigrationFile, ...] = ()
    static: dict[str, LocalFile] = field(default_factory=dict)
    assets: dict[str, LocalFile] = field(default_factory=dict)
    generated: dict[str, bytes] = field(default_factory=dict)


def read_desired(manifest: Manifest) -> Desired:
    """Reads and hashes everything the manifest names. Raises SourceError's and MigrationError's children."""
    root = manifest.root
    migrations = _migrations(manifest)
    static = _static(manifest)
    assets = _assets(manifest)
    generated = _generated(manifest.magic_link, static or {}, root)
    seeds = _seeds(manifest)
    objects = {name: file.object for name, file in (static or {}).items()}
    objects |= {name: _object(name, content) for name, content in generated.items()}
    snapshot = Snapshot(
        project=Project(manifest.project.id or "", manifest.project.name or ""),
        extensions=frozenset(manifest.database.extensions if manifest.database else ()),
        migrations=None if migrations is None else tuple(file.migration for file in migrations),
        static=None if static is None and not generated else objects,
        storage=None if assets is None else {name: file.object for name, file in assets.items()},
        auth=_settings(manifest.magic_link),
        seeds=None if seeds is None else seed_objects(seeds),
    )
    return Desired(manifest, snapshot, migrations or (), seeds or (), static or {}, assets or {}, generated)


def _migrations(manifest: Manifest) -> tuple[MigrationFile, ...] | None:
    if manifest.database is None or manifest.database.migrations is None:
        return None
    return read_migrations(manifest.root, manifest.database.migrations)


def _seeds(manifest: Manifest) -> tuple[MigrationFile, ...] | None:
    if manifest.database is None or not manifest.database.seeds:
        return None
    return read_seeds(manifest.root, manifest.database.seeds)


def _static(manifest: Manifest) -> dict[str, LocalFile] | None:
    spec = manifest.static
    if spec is None:
        return None
    files = read_files(manifest.root, Selection(spec.dir, spec.include, spec.exclude))
    refuse_unserved(files, manifest.root)
    return files


def _assets(manifest: Manifest) -> dict[str, LocalFile] | None:
    spec = manifest.storage
    if spec is None:
        return None
    return read_files(manifest.root, Selection(spec.dir, spec.include, spec.exclude, spec.prefix))


def _settings(spec: MagicLinkSpec | None) -> Settings | None:
    return spec.settings() if spec else None


def _generated(spec: MagicLinkSpec | None, static: dict[str, LocalFile], root: Path) -> dict[str, bytes]:
    if spec is None:
        return {}
    if AUTH_FILE in static:
        shown = static[AUTH_FILE].source.relative_to(root).as_posix()
        raise SourceRefused(
            f"{shown} would be overwritten: {AUTH_FILE} is made from auth.magic_link",
            hint="rename the file, or leave it out with static.exclude",
            location=Location(shown),
        )
    text = json.dumps({"magic_link": spec.settings()}, indent=2, ensure_ascii=False) + "\n"
    return {AUTH_FILE: text.encode()}


def _object(name: str, content: bytes) -> Object:
    return Object(name, hashlib.sha256(content).hexdigest(), len(content))
