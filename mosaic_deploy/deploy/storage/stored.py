"""What is in a project's storage, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mosaic_deploy.deploy.planning.read_target import with_recorded_policy
from mosaic_deploy.diff.objects import is_foreign
from mosaic_deploy.errors import OperationUnknown, SourceError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.endpoints import LIST_STORAGE
from mosaic_deploy.live.snapshot import read_live
from mosaic_deploy.live.storage_urls import StorageUrls
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.manifest_identity import manifest_texts
from mosaic_deploy.model.snapshot import (
    NOT_LIVE_STATES,
    OTHERS_STATES,
    Object,
    Objects,
    Project,
    Snapshot,
    StorageUsage,
    live_size,
)
from mosaic_deploy.source.files.gitignore import FileSelection
from mosaic_deploy.source.files.walk import Walk
from mosaic_deploy.source.manifest.find import manifest_identity

_NO_MANIFEST = "no manifest"
"""The identity of none. The files of all manifests are others' then."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A project's storage. `objects` are what is live and what the tracking tables have, by name.

    `manifest` has the policy that holds, also from the last deploy; it is an empty one if only the project is known.
    """

    project: Project
    manifest: Manifest
    identity: str
    objects: Objects
    urls: StorageUrls
    usage: StorageUsage | None = None
    sizes: Mapping[str, int | None] = field(default_factory=dict)
    """The live files with their sizes, None if the platform doesn't say."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """The paths of the files in the manifest's storage folder, by their names in storage."""

    def deployed_by(self, name: str) -> str:
        """What deploys the file, or will: `deployed from assets/a.png`; empty if nothing does."""
        if source := self.sources.get(name):
            return f"deployed from {source}; the next apply uploads it again"
        found = self.objects.get(name)
        if found is None or found.state in OTHERS_STATES:
            return ""
        if is_foreign(found, self.identity):
            [other] = manifest_texts([found.manifest], self.identity)
            return f"deployed by {other}; its next apply uploads it again"
        return ""

    def is_left(self, name: str) -> bool:
        """Whether this manifest deployed the file and doesn't name it any longer, as far as its folder shows."""
        found = self.objects.get(name)
        recorded = found is not None and found.state not in OTHERS_STATES
        return recorded and not self.deployed_by(name)

    @property
    def deployed(self) -> dict[str, Object]:
        """The live files that this manifest deployed, as they are."""
        return {
            name: found
            for name, found in self.objects.items()
            if found.state not in OTHERS_STATES | NOT_LIVE_STATES and not is_foreign(found, self.identity)
        }

    def live_size(self, name: str) -> int | None:
        """As `model.snapshot.live_size`."""
        return live_size(self.objects.get(name))


def read_stored(api: Api, project: Project, manifest: Manifest) -> Stored:
    """Reads the storage of a project, the tracking tables, and the recorded policy. Raises OperationUnknown, ApiError."""
    identity = manifest_identity(manifest.file) if manifest.file.is_file() else _NO_MANIFEST
    live = read_live(api, project, Snapshot(project, storage={}, manifest=identity))
    if live.storage_files is None:
        raise OperationUnknown(f"this platform has no endpoint for: {LIST_STORAGE.name}")
    return Stored(
        project,
        with_recorded_policy(api, project.id, manifest),
        identity,
        live.snapshot.storage or {},
        live.storage_urls,
        live.usage,
        {name: size for name, (size, _) in live.storage_files.items()},
        _sources(manifest),
    )


def _sources(manifest: Manifest) -> dict[str, str]:
    """The files that the manifest deploys, not read. Empty if its folder can't be listed: then the tracking tables say what it
    has deployed."""
    spec = manifest.storage
    if spec is None:
        return {}
    walk = Walk(manifest.root, FileSelection(spec.dir, spec.include, spec.exclude, spec.prefix))
    try:
        return {file.name: file.relative_path for file in walk.files()}
    except SourceError:
        return {}
