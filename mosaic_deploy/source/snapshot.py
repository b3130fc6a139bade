"""The desired side as one Snapshot, with where each of its bytes comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from mosaic_deploy.errors import Location, SourceRefused
from mosaic_deploy.model.manifest import MagicLinkSpec, Manifest
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import AuthSettings, Object, Project, Snapshot
from mosaic_deploy.source.files.digests import OnHashed, ignore_progress
from mosaic_deploy.source.files.folder import BeforeHashing, SelectedFiles, read_files, refuse_unserved
from mosaic_deploy.source.files.gitignore import FileSelection, invalid_patterns_error
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.secrets import refuse_secrets
from mosaic_deploy.source.files.stat_cache import StatCache, stat_cache
from mosaic_deploy.source.manifest.find import second_manifest
from mosaic_deploy.source.migrations.draft import draft_note
from mosaic_deploy.source.migrations.files import MigrationFile, read_migrations
from mosaic_deploy.source.migrations.seeds import read_seeds, seed_objects
from mosaic_deploy.source.problems import ErrorCollector

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
    storage_files: dict[str, LocalFile] = field(default_factory=dict)
    generated: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    """What should be known of the files before they are sent."""
    ignored: int = 0
    """How many names `.mosaicignore` left out of them."""


def read_desired(
    manifest: Manifest, on_hashed: OnHashed = ignore_progress, before_hashing: BeforeHashing | None = None
) -> Desired:
    """Reads and hashes everything the manifest names. Raises SourceError's and MigrationError's children,
    ManifestInvalid: all that is wrong at once.

    `before_hashing` is given the assets before they are hashed, and may raise.
    """
    mistakes = ErrorCollector(manifest.file.name)
    desired = read_valid_desired(manifest, mistakes, on_hashed, before_hashing)
    mistakes.raise_collected()
    return desired


def read_valid_desired(
    manifest: Manifest,
    mistakes: ErrorCollector,
    on_hashed: OnHashed = ignore_progress,
    before_hashing: BeforeHashing | None = None,
) -> Desired:
    """As `read_desired`, but what is wrong is added to `mistakes` and left out.

    A snapshot's `static` is None where some of it couldn't be read.
    """
    migrations = mistakes.collect(lambda: _migrations(manifest, mistakes))
    static, storage_files = _files(manifest, on_hashed, before_hashing, mistakes)
    found = static.found if static else {}
    generated = mistakes.collect(lambda: _generated(manifest.magic_link, found)) or {}
    seeds = mistakes.collect(lambda: _seeds(manifest))
    objects = {name: file.object for name, file in found.items()}
    objects |= {name: _object(name, content) for name, content in generated.items()}
    snapshot = Snapshot(
        project=Project(manifest.project.id or "", manifest.project.name or ""),
        extensions=frozenset(manifest.database.extensions if manifest.database else ()),
        migrations=None if migrations is None else tuple(file.migration for file in migrations),
        static=None
        if _static_incomplete(manifest, static) or (static is None and not generated)
        else objects,
        storage=None
        if storage_files is None
        else {name: file.object for name, file in storage_files.found.items()},
        auth=_auth_settings(manifest.magic_link),
        seeds=None if seeds is None else seed_objects(seeds),
    )
    read = {kind: files for kind, files in (("static", static), ("storage", storage_files)) if files}
    return Desired(
        manifest,
        snapshot,
        migrations or (),
        seeds or (),
        found,
        storage_files.found if storage_files else {},
        generated,
        (
            *_second_manifest_notes(manifest),
            *(mistakes.collect(lambda: _draft_notes(manifest)) or ()),
            *(note for kind, files in read.items() for note in files.notes(kind)),
        ),
        sum(files.ignored for files in read.values()),
    )


def _second_manifest_notes(manifest: Manifest) -> Iterator[Note]:
    if other := second_manifest(manifest.file):
        message = f"{manifest.file.name} is read, and not {other} beside it: delete one of them"
        yield Note("manifest_twice", message, Severity.WARNING)


def _static_incomplete(manifest: Manifest, static: SelectedFiles | None) -> bool:
    """Whether static files are wanted and weren't all read."""
    return manifest.static is not None and (static is None or not static.complete)


def _migrations(manifest: Manifest, mistakes: ErrorCollector) -> tuple[MigrationFile, ...] | None:
    if manifest.database is None or manifest.database.migrations is None:
        return None
    return read_migrations(manifest.root, manifest.database.migrations, mistakes)


def _draft_notes(manifest: Manifest) -> tuple[Note, ...]:
    if manifest.database is None or manifest.database.migrations is None:
        return ()
    note = draft_note(manifest.root, manifest.database.migrations)
    return (note,) if note else ()


def _seeds(manifest: Manifest) -> tuple[MigrationFile, ...] | None:
    if manifest.database is None or not manifest.database.seeds:
        return None
    return read_seeds(manifest.root, manifest.database.seeds)


def _files(
    manifest: Manifest, on_hashed: OnHashed, before_hashing: BeforeHashing | None, mistakes: ErrorCollector
) -> tuple[SelectedFiles | None, SelectedFiles | None]:
    """Static files and assets, read with one stat cache. What was hashed is remembered also where some is refused."""
    if bad := invalid_patterns_error(manifest):
        mistakes.add(bad)  # which files are meant isn't known
        return None, None
    if manifest.static is None and manifest.storage is None:
        return None, None
    cache = stat_cache(manifest.root)
    try:
        static = mistakes.collect(lambda: _static(manifest, cache, on_hashed, mistakes))
        storage_files = mistakes.collect(
            lambda: _storage_files(manifest, cache, on_hashed, before_hashing, mistakes)
        )
    finally:
        cache.write()
    mistakes.collect(
        lambda: refuse_secrets(
            static.secrets if static else (), storage_files.secrets if storage_files else ()
        )
    )
    return static, storage_files


def _static(
    manifest: Manifest, cache: StatCache, on_hashed: OnHashed, mistakes: ErrorCollector
) -> SelectedFiles | None:
    spec = manifest.static
    if spec is None:
        return None
    selection = FileSelection(spec.dir, spec.include, spec.exclude, "", spec.allow_secrets)
    files = read_files(manifest.root, selection, cache, on_hashed, mistakes=mistakes)
    mistakes.collect(lambda: refuse_unserved(files.found))
    return files


def _storage_files(
    manifest: Manifest,
    cache: StatCache,
    on_hashed: OnHashed,
    before_hashing: BeforeHashing | None,
    mistakes: ErrorCollector,
) -> SelectedFiles | None:
    spec = manifest.storage
    if spec is None:
        return None
    selection = FileSelection(spec.dir, spec.include, spec.exclude, spec.prefix, spec.allow_secrets)
    return read_files(manifest.root, selection, cache, on_hashed, before_hashing, mistakes)


def _auth_settings(spec: MagicLinkSpec | None) -> AuthSettings | None:
    return spec.settings() if spec else None


def _generated(spec: MagicLinkSpec | None, static: dict[str, LocalFile]) -> dict[str, bytes]:
    if spec is None:
        return {}
    if AUTH_FILE in static:
        shown = static[AUTH_FILE].relative_path
        raise SourceRefused(
            f"{shown} would be overwritten: {AUTH_FILE} is made from auth.magic_link",
            hint="rename the file, or leave it out with static.exclude",
            location=Location(shown),
        )
    text = json.dumps({"magic_link": spec.settings()}, indent=2, ensure_ascii=False) + "\n"
    return {AUTH_FILE: text.encode()}


def _object(name: str, content: bytes) -> Object:
    return Object(name, hashlib.sha256(content).hexdigest(), len(content))
