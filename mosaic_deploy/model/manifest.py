"""What a `mosaic.yaml` says, after interpolation, environment overrides and validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mosaic_deploy.errors import Location


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """Which project: by `id` where it is known, else by `name`."""

    name: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseSpec:
    """`migrations` is a folder, `seeds` are SQL files and folders, relative to the manifest; timeouts are seconds, None for the server's own.

    `transaction` is `each` (a transaction per migration) or `all` (all pending ones or none).
    """

    extensions: tuple[str, ...] = ()
    migrations: str | None = None
    seeds: tuple[str, ...] = ()
    transaction: str = "each"
    lock_timeout: float | None = None
    statement_timeout: float | None = None

    @property
    def single_transaction(self) -> bool:
        return self.transaction == "all"


Prune = bool | Literal["all"]
"""What of the files that are no longer wanted is deleted: nothing, what was deployed from here, or `all`."""


@dataclass(frozen=True, slots=True)
class StaticSpec:
    """`dir` is a folder relative to the manifest; patterns are gitignore's, relative to `dir`.

    Files that match `allow_secrets` are published also where they look like a secret.
    """

    dir: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    prune: Prune = False


@dataclass(frozen=True, slots=True)
class StorageSpec:
    """As StaticSpec; `prefix` is put before every name in storage (`images/`), empty or ending in a slash."""

    dir: str
    prefix: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    prune: Prune = False


@dataclass(frozen=True, slots=True)
class MagicLinkSpec:
    """Where a sign-in link may lead: absolute paths on the project's site."""

    redirect_url: str
    allowed_redirect_urls: tuple[str, ...] = ()

    def settings(self) -> dict[str, object]:
        """The settings as kept in the ledger and published; the default redirect is always allowed."""
        allowed = dict.fromkeys((self.redirect_url, *self.allowed_redirect_urls))
        return {"redirect_url": self.redirect_url, "allowed_redirect_urls": list(allowed)}


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """One check after an apply: GET `path` on the project's site."""

    path: str
    status: int = 200
    contains: str | None = None


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What an apply may do. `destructive` is `allow`, `confirm` or `deny`; `max_deletes` None for any number.

    `protected_tables` are names as the catalog has them, `orders` (in `public`) or `app.orders`.
    """

    destructive: str = "confirm"
    protected_tables: tuple[str, ...] = ()
    max_deletes: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole manifest. `file` is where it was read; relative folders are below `root`."""

    file: Path
    project: ProjectSpec = field(default_factory=ProjectSpec)
    database: DatabaseSpec | None = None
    static: StaticSpec | None = None
    storage: StorageSpec | None = None
    magic_link: MagicLinkSpec | None = None
    verify: tuple[HttpCheck, ...] = ()
    policy: PolicySpec | None = None
    environment: str | None = None
    locations: Mapping[str, Location] = field(default_factory=dict, compare=False, repr=False)
    """Where each field was written, by dotted path (`verify.http[0].path`)."""

    def locate(self, path: str) -> Location:
        """Where `path` was written; the file as a whole where it wasn't."""
        return self.locations.get(path) or Location(self.file.name)

    @property
    def root(self) -> Path:
        """The project folder: nothing outside it is ever read for deploying."""
        return self.file.parent
