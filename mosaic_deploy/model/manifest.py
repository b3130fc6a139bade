"""The values in mosaic.yaml, after interpolation, environment overrides and validation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.variable_value import Scalar, Text, VariableValue, values_in


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """The project: by `id` if given, otherwise by `name`."""

    name: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseSpec:
    """`migrations` is a folder, `seeds` are SQL files and folders, relative to the manifest.

    `layout` is that of the migrations folder, None for the one that its content shows. `repeatable` is a folder or a file.

    `transaction` is `each` (one transaction per migration) or `all` (one for all pending ones). Timeouts are in seconds,
    None for the server's setting.
    """

    extensions: tuple[str, ...] = ()
    migrations: str | None = None
    layout: str | None = None
    repeatable: str | None = None
    seeds: tuple[str, ...] = ()
    transaction: str = "each"
    lock_timeout: float | None = None
    statement_timeout: float | None = None

    @property
    def single_transaction(self) -> bool:
        return self.transaction == "all"


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """A command that fills the folder `output`. It runs in `dir`; all paths are relative to the manifest.

    `command` is text for the shell, or a program and its arguments. `inputs` are the files, folders and patterns that it reads,
    empty for all of `dir`. `timeout` is in seconds.
    """

    command: str | tuple[str, ...]
    output: str
    dir: str = "."
    inputs: tuple[str, ...] = ()
    timeout: float = 1800.0


@dataclass(frozen=True, slots=True)
class DevSpec:
    """The project's own backend, which `dev` keeps running in `dir` and starts again when something of `watch` changes."""

    command: str | tuple[str, ...]
    dir: str = "."
    watch: tuple[str, ...] = ()


Prune = bool | Literal["all"]
"""Which old files to delete: none, those that this project deployed, or `all`."""


SITE_STORAGE_PREFIX = "_static/"
"""Before the names of the site's files in storage."""


@dataclass(frozen=True, slots=True)
class RedirectSpec:
    """A redirect from the path `source` of the site to `target`, a path of the site or an http(s) URL."""

    source: str
    target: str
    status: int = 301


STORAGE_PATH = "/storage/"
"""Where a site of the embedded platform has the project's storage files."""


def is_served(path: str, pages: Collection[str]) -> bool:
    """Whether hosting serves `path`: as the file itself, as `path.html`, or as `path/index.html`.

    With a slash at its end, only as `path/index.html`.
    """
    return any(name in pages for name in serving_names(path))


def serving_names(path: str) -> tuple[str, ...]:
    """The files that hosting answers the URL path `path` with, the first that exists."""
    name = unquote(path).removeprefix("/")
    if not name or name.endswith("/"):
        return (f"{name}index.html",)
    return name, f"{name}/index.html", f"{name}.html"


@dataclass(frozen=True, slots=True)
class StaticSpec:
    """`dir` is a folder relative to the manifest. Patterns use gitignore syntax, relative to `dir`.

    Files that match `allow_secrets` are published even if they appear to contain a secret. `fallback` is the page of `dir`
    for paths without a file. With `clean_urls`, `about.html` is also `about/index.html`. `keep` is how long files that left the
    folder stay live before they are pruned, in seconds. `unsupported`, for files of types that hosting doesn't serve, is `error` or `storage`; `storage_folders` are folders of `dir` that go into storage as a whole; `check_links` is `warn`, `error` or `off`.
    """

    dir: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    prune: Prune = False
    keep: float = 3600.0
    fallback: str | None = None
    clean_urls: bool = False
    redirects: tuple[RedirectSpec, ...] = ()
    unsupported: str = "error"
    storage_folders: tuple[str, ...] = ()
    check_links: str = "warn"

    @property
    def uses_storage(self) -> bool:
        """Whether files of types that hosting doesn't serve go into storage."""
        return self.unsupported == "storage"


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
    """A request to `path` on the project's site, and what its response must have.

    `json` has expected values by path (`items[0].name`), `response_headers` texts that the headers must contain.
    """

    path: Text
    method: Text = "GET"
    headers: Mapping[str, Text] = field(default_factory=dict)
    body: Text | None = None
    status: int | VariableValue = 200
    response_headers: Mapping[str, Text] = field(default_factory=dict)
    contains: Text | None = None
    json: Mapping[str, Scalar | VariableValue] = field(default_factory=dict)
    max_ms: int | VariableValue | None = None


@dataclass(frozen=True, slots=True)
class SqlCheck:
    """A read-only query. `rows` None is at least one row; `value` is compared if `has_value`, because it may be null."""

    query: Text
    rows: int | VariableValue | None = None
    value: Scalar | VariableValue = None
    has_value: bool = False


@dataclass(frozen=True, slots=True)
class MagicLinkCheck:
    """A magic link to send to `email`. It leads to `redirect_url`, None for that of `auth.magic_link`."""

    email: Text = "verify@example.com"
    redirect_url: Text | None = None


@dataclass(frozen=True, slots=True)
class VerifySpec:
    """The checks of the deployed project. False if there are none."""

    http: tuple[HttpCheck, ...] = ()
    sql: tuple[SqlCheck, ...] = ()
    magic_link: MagicLinkCheck | None = None

    def __bool__(self) -> bool:
        return bool(self.http or self.sql or self.magic_link)

    def digest(self) -> str:
        """Changes with every change of a check."""
        text = json.dumps(asdict(self), sort_keys=True, default=VariableValue.reveal)
        return hashlib.sha256(text.encode()).hexdigest()

    def variable_values(self) -> frozenset[VariableValue]:
        """All values that came from variables, which no message may contain."""
        return frozenset(values_in(asdict(self)))


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """Limits on what an apply may do. `destructive` is `allow`, `confirm` or `deny`; `max_deletes` None is no limit; `drift` is
    `warn` or `deny`; `rehearsed` is `optional` or `required`; `agents` is `any` or `proven`.

    `protected_tables` are names as in the catalog: `orders` (in `public`) or `app.orders`. `unmanaged` are patterns of such
    names; see `diff.schema.Unmanaged`.
    """

    destructive: str = "confirm"
    protected_tables: tuple[str, ...] = ()
    max_deletes: int | None = None
    drift: str = "warn"
    rehearsed: str = "optional"
    agents: str = "any"
    unmanaged: tuple[str, ...] = ()

    @property
    def proves_schema(self) -> bool:
        """Whether a step of a rehearsed plan may only leave the schema that it left in the rehearsal."""
        return self.rehearsed == "required" or self.agents == "proven"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest. `file` is its path; folders are relative to `root`."""

    file: Path
    project: ProjectSpec = field(default_factory=ProjectSpec)
    database: DatabaseSpec | None = None
    build: BuildSpec | None = None
    dev: DevSpec | None = None
    static: StaticSpec | None = None
    storage: StorageSpec | None = None
    magic_link: MagicLinkSpec | None = None
    verify: VerifySpec = field(default_factory=VerifySpec)
    policy: PolicySpec | None = None
    environment: str | None = None
    environments: tuple[str, ...] = ()
    """The names under `environments`."""
    warnings: tuple[Problem, ...] = ()
    """What is probably a mistake in the manifest."""
    locations: Mapping[str, Location] = field(default_factory=dict, compare=False, repr=False)
    """The location of each field by dotted path (`verify.http[0].path`)."""

    held_rules: frozenset[str] = frozenset()
    """The fields of `policy` (`policy.rehearsed`) that hold from the last deploy and aren't the file's."""
    written: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """The text in the file of each field with a variable, by dotted path: shown instead of the value."""

    @property
    def site_uses_storage(self) -> bool:
        """Whether files of the static section go into storage."""
        return self.static is not None and self.static.uses_storage

    def locate(self, path: str) -> Location:
        """The location of the field `path`, or the whole file if the field isn't set."""
        return self.locations.get(path) or Location(self.file.name)

    @property
    def unmanaged(self) -> tuple[str, ...]:
        """The patterns of `policy.unmanaged`."""
        return self.policy.unmanaged if self.policy else ()

    @property
    def root(self) -> Path:
        """The project folder, which paths are relative to."""
        return self.file.parent

    @property
    def deployed_folders(self) -> tuple[str, ...]:
        """The folders and seeds that are deployed, as the manifest names them."""
        database = self.database
        return (
            *([self.static.dir] if self.static else []),
            *([self.storage.dir] if self.storage else []),
            *([database.migrations] if database and database.migrations else []),
            *([database.repeatable] if database and database.repeatable else []),
            *(database.seeds if database else ()),
        )
