"""The values in mosaic.yaml, after interpolation, environment overrides and validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mosaic_deploy.errors import Location


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """The project: by `id` if given, otherwise by `name`."""

    name: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseSpec:
    """`migrations` is a folder, `seeds` are SQL files and folders, relative to the manifest.

    `transaction` is `each` (one transaction per migration) or `all` (one for all pending ones). Timeouts are in seconds,
    None for the server's setting.
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
"""Which old files to delete: none, those that this project deployed, or `all`."""


@dataclass(frozen=True, slots=True)
class StaticSpec:
    """`dir` is a folder relative to the manifest. Patterns use gitignore syntax, relative to `dir`.

    Files that match `allow_secrets` are published even if they appear to contain a secret.
    """

    dir: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    prune: Prune = False


@dataclass(frozen=True, slots=True)
class StorageSpec:
    """Like StaticSpec. `prefix` is put before every name in storage; it is empty or ends with a slash (`images/`)."""

    dir: str
    prefix: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    prune: Prune = False


@dataclass(frozen=True, slots=True)
class MagicLinkSpec:
    """Where a magic link may lead: absolute paths on the project's site."""

    redirect_url: str
    allowed_redirect_urls: tuple[str, ...] = ()

    def settings(self) -> dict[str, object]:
        """The settings as stored in the ledger and published. `redirect_url` is always allowed."""
        allowed = dict.fromkeys((self.redirect_url, *self.allowed_redirect_urls))
        return {"redirect_url": self.redirect_url, "allowed_redirect_urls": list(allowed)}


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A check after an apply: GET `path` on the project's site."""

    path: str
    status: int = 200
    contains: str | None = None


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """Limits on what an apply may do. `destructive` is `allow`, `confirm` or `deny`; `max_deletes` None is no limit.

    `protected_tables` are names as in the catalog: `orders` (in `public`) or `app.orders`.
    """

    destructive: str = "confirm"
    protected_tables: tuple[str, ...] = ()
    max_deletes: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest. `file` is its path; folders are relative to `root`."""

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
    """The location of each field by dotted path (`verify.http[0].path`)."""

    def locate(self, path: str) -> Location:
        """The location of the field `path`, or the whole file if the field isn't set."""
        return self.locations.get(path) or Location(self.file.name)

    @property
    def root(self) -> Path:
        """The project folder. Nothing outside it is deployed."""
        return self.file.parent
