"""The desired side as one Snapshot, with where each of its bytes comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from mosaic_deploy.errors import Location, SourceRefused
from mosaic_deploy.model.manifest import MagicLinkSpec, Manifest
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Object, Project, Settings, Snapshot
from mosaic_deploy.source.digests import Hashed, unheard
from mosaic_deploy.source.draft import draft_note
from mosaic_deploy.source.files import Before, Files, read_files, refuse_unserved
from mosaic_deploy.source.local_file import LocalFile
from mosaic_deploy.source.manifest_file import unread_twin
from mosaic_deploy.source.migrations import MigrationFile, read_migrations
from mosaic_deploy.source.patterns import Selection, refuse_bad_patterns
from mosaic_deploy.source.secrets import refuse_secrets
from mosaic_deploy.source.seeds import read_seeds, seed_objects
from mosaic_deploy.source.stat_cache import StatCache, stat_cache

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
    notes: tuple[Note, ...] = ()
    """What should be known of the files before they are sent."""
    ignored: int = 0
    """How many names `.mosaicignore` left out of them."""


def read_desired(manifest: Manifest, hashed: Hashed = unheard, before: Before | None = None) -> Desired:
    """Reads and hashes everything the manifest names. Raises SourceError's and MigrationError's children.

    `before` is given the assets before they are hashed, and may raise.
    """
    migrations = _migrations(manifest)
    static, assets = _files(manifest, hashed, before)
    generated = _generated(manifest.magic_link, static.found if static else {})
    seeds = _seeds(manifest)
    objects = {name: file.object for name, file in (static.found if static else {}).items()}
    objects |= {name: _object(name, content) for name, content in generated.items()}
    snapshot = Snapshot(
        project=Project(manifest.project.id or "", manifest.project.name or ""),
        extensions=frozenset(manifest.database.extensions if manifest.database else ()),
        migrations=None if migrations is None else tuple(file.migration for file in migrations),
        static=None if static is None and not generated else objects,
        storage=None if assets is None else {name: file.object for name, file in assets.found.items()},
        auth=_settings(manifest.magic_link),
        seeds=None if seeds is None else seed_objects(seeds),
    )
    read = {kind: files for kind, files in (("static", static), ("asset", assets)) if files}
    return Desired(
        manifest,
        snapshot,
        migrations or (),
        seeds or (),
        static.found if static else {},
        assets.found if assets else {},
        generated,
        (
            *_twin(manifest),
            *_draft_notes(manifest),
            *(note for kind, files in read.items() for note in files.notes(kind)),
        ),
        sum(files.ignored for files in read.values()),
    )


def _twin(manifest: Manifest) -> Iterator[Note]:
    if other := unread_twin(manifest.file):
        message = f"{manifest.file.name} is read, and not {other} beside it: delete one of them"
        yield Note("manifest_twice", message, Severity.WARNING)


def _migrations(manifest: Manifest) -> tuple[MigrationFile, ...] | None:
    if manifest.database is None or manifest.database.migrations is None:
        return None
    return read_migrations(manifest.root, manifest.database.migrations)


def _draft_notes(manifest: Manifest) -> tuple[Note, ...]:
    if manifest.database is None or manifest.database.migrations is None:
        return ()
    note = draft_note(manifest.root, manifest.database.migrations)
    return (note,) if note else ()


def _seeds(manifest: Manifest) -> tuple[MigrationFile, ...] | None:
    if manifest.database is None or not manifest.database.seeds:
        return None
    return read_seeds(manifest.root, manifest.database.seeds)


def _files(manifest: Manifest, hashed: Hashed, before: Before | None) -> tuple[Files | None, Files | None]:
    """Static files and assets, read with one stat cache. What was hashed is remembered also where some is refused."""
    refuse_bad_patterns(manifest)
    if manifest.static is None and manifest.storage is None:
        return None, None
    cache = stat_cache(manifest.root)
    try:
        static, assets = _static(manifest, cache, hashed), _assets(manifest, cache, hashed, before)
    finally:
        cache.write()
    refuse_secrets(static.secrets if static else (), assets.secrets if assets else ())
    return static, assets


def _static(manifest: Manifest, cache: StatCache, hashed: Hashed) -> Files | None:
    spec = manifest.static
    if spec is None:
        return None
    selection = Selection(spec.dir, spec.include, spec.exclude, "", spec.allow_secrets)
    files = read_files(manifest.root, selection, cache, hashed)
    refuse_unserved(files.found)
    return files


def _assets(manifest: Manifest, cache: StatCache, hashed: Hashed, before: Before | None) -> Files | None:
    spec = manifest.storage
    if spec is None:
        return None
    selection = Selection(spec.dir, spec.include, spec.exclude, spec.prefix, spec.allow_secrets)
    return read_files(manifest.root, selection, cache, hashed, before)


def _settings(spec: MagicLinkSpec | None) -> Settings | None:
    return spec.settings() if spec else None


def _generated(spec: MagicLinkSpec | None, static: dict[str, LocalFile]) -> dict[str, bytes]:
    if spec is None:
        return {}
    if AUTH_FILE in static:
        shown = static[AUTH_FILE].shown
        raise SourceRefused(
            f"{shown} would be overwritten: {AUTH_FILE} is made from auth.magic_link",
            hint="rename the file, or leave it out with static.exclude",
            location=Location(shown),
        )
    text = json.dumps({"magic_link": spec.settings()}, indent=2, ensure_ascii=False) + "\n"
    return {AUTH_FILE: text.encode()}


def _object(name: str, content: bytes) -> Object:
    return Object(name, hashlib.sha256(content).hexdigest(), len(content))
