"""The table of API operations, the only place with the API's paths.

Paths are relative to `/v1/project`. The platform's guide doesn't specify those with `documented=False`; the platform's
own list of endpoints corrects them. Optional operations are used only if that list has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API.

    A listed endpoint is this operation if its path has a word of each group of `path_words` and none of
    `excluded_words`.
    """

    name: str
    method: str
    path: str
    documented: bool = True
    optional: bool = False
    idempotent: bool = True
    """Whether sending the request twice has the same effect as sending it once."""
    rate_limited: bool = False
    """Whether it goes through the RateLimiter, as one of many concurrent requests."""
    changes_settings: bool = False
    path_words: tuple[tuple[str, ...], ...] = ()
    excluded_words: frozenset[str] = frozenset()

    @property
    def is_sql(self) -> bool:
        return self.name == RUN_SQL.name

    @property
    def fenced(self) -> bool:
        """Whether it changes what a deploy owns and can't check the lease itself, as SQL does."""
        return self.rate_limited or self.changes_settings


DISCOVER = Operation("discover", "GET", "")
LIST_PROJECTS = Operation("list projects", "GET", "/projects")
CREATE_PROJECT = Operation("create project", "POST", "/projects", idempotent=False)
READ_CREDENTIALS = Operation("credentials", "GET", "/{id}/credentials")
RUN_SQL = Operation("run SQL", "POST", "/{id}/sql")
RUN_SQL_NOT_IDEMPOTENT = replace(RUN_SQL, idempotent=False)
UPLOAD_STATIC_FILE = Operation("upload static file", "POST", "/{id}/files", rate_limited=True)
LIST_STATIC_FILES = Operation("list static files", "GET", "/{id}/files")
DELETE_STATIC_FILE = Operation(
    "delete static file",
    "DELETE",
    "/{id}/files/{filename}",
    documented=False,
    optional=True,
    rate_limited=True,
    path_words=(("files", "file"),),
    excluded_words=frozenset({"storage", "s3"}),
)
CREATE_UPLOAD_URL = Operation(
    "storage upload URL",
    "POST",
    "/{id}/storage/upload",
    documented=False,
    rate_limited=True,
    path_words=(("storage", "s3"), ("upload", "uploads")),
    excluded_words=frozenset({"complete", "abort", "multipart", "part", "parts"}),
)
LIST_STORAGE = Operation(
    "list storage",
    "GET",
    "/{id}/storage",
    documented=False,
    path_words=(("storage", "s3"),),
    excluded_words=frozenset({"usage", "quota", "url", "urls", "upload", "uploads", "download", "settings"}),
)
DELETE_STORAGE_FILE = Operation(
    "delete stored object",
    "DELETE",
    "/{id}/storage/{filename}",
    documented=False,
    optional=True,
    rate_limited=True,
    path_words=(("storage", "s3"),),
)
SEND_MAGIC_LINK = Operation(
    "send magic link",
    "POST",
    "/{id}/auth/magic-link",
    documented=False,
    idempotent=False,
    path_words=(("auth",), ("magic", "magiclink")),
    excluded_words=frozenset({"verify", "callback", "settings", "config"}),
)
VERIFY_MAGIC_LINK = Operation(
    "verify magic link",
    "POST",
    "/{id}/auth/verify",
    documented=False,
    optional=True,
    idempotent=False,
    path_words=(("auth",), ("verify",)),
)
READ_AUTH = Operation(
    "read auth settings",
    "GET",
    "/{id}/auth/settings",
    documented=False,
    optional=True,
    path_words=(("auth",), ("settings", "config")),
)
WRITE_AUTH = Operation(
    "write auth settings",
    "PUT",
    "/{id}/auth/settings",
    documented=False,
    optional=True,
    changes_settings=True,
    path_words=(("auth",), ("settings", "config")),
)
SUBMIT_TICKET = Operation(
    "submit ticket",
    "POST",
    "/tickets",
    documented=False,
    idempotent=False,
    path_words=(("ticket", "tickets", "support"),),
)

EMBEDDED_INBOX_PATH = "/inbox.json"
EMBEDDED_VERIFY_PATH = "/.mosaic/auth/verify"
"""Of the embedded platform: its inbox, and the path of a site that verifies a magic link's token."""

OPERATIONS = (
    DISCOVER,
    LIST_PROJECTS,
    CREATE_PROJECT,
    READ_CREDENTIALS,
    RUN_SQL,
    UPLOAD_STATIC_FILE,
    LIST_STATIC_FILES,
    DELETE_STATIC_FILE,
    CREATE_UPLOAD_URL,
    LIST_STORAGE,
    DELETE_STORAGE_FILE,
    SEND_MAGIC_LINK,
    VERIFY_MAGIC_LINK,
    READ_AUTH,
    WRITE_AUTH,
    SUBMIT_TICKET,
)

_PATH_PARAMETER = re.compile(r"\{[^{}/]*\}|<[^<>/]*>|\[[^\[\]/]*\]|(?<=/):\w+")
"""`{id}`, `{path:filename}`, `<path:filename>`, `[id]`, `:id`."""
_WORD = re.compile(r"[a-z0-9]+")
_LISTED_ENDPOINT = re.compile(
    r"\b(GET|POST|PUT|PATCH|DELETE)[\s:]+((?:https?://|[/{<])[^\s\"'`,;()]+)", re.IGNORECASE
)


def bind_operations(listing: object) -> dict[str, str]:
    """Names of undocumented operations → their paths in the response of `GET /v1/project`, whatever its format.

    If several listed endpoints match an operation, the shortest path is used.
    """
    endpoints = list(_endpoints(listing))
    bound: dict[str, str] = {}
    for operation in OPERATIONS:
        if operation.documented:
            continue
        paths = [
            path for method, path in endpoints if method == operation.method and _matches(operation, path)
        ]
        if paths:
            bound[operation.name] = min(paths, key=lambda path: (len(path), path))
    return bound


def _matches(operation: Operation, path: str) -> bool:
    fixed = set(_WORD.findall(re.sub(r"\{[^}]*\}", "", path).lower()))
    wanted_parameters = re.findall(r"\{[^}]*\}", operation.path)
    return (
        all(fixed & set(group) for group in operation.path_words)
        and not fixed & operation.excluded_words
        and wanted_parameters == re.findall(r"\{[^}]*\}", path)
        and path.count("{") == path.count("}") == len(wanted_parameters)
    )


def _endpoints(node: object) -> Iterator[tuple[str, str]]:
    """Every (METHOD, normalised path) found anywhere in a listing."""
    if isinstance(node, str):
        for method, path in _LISTED_ENDPOINT.findall(node):
            yield method.upper(), normalize_path(path)
    elif isinstance(node, Mapping):
        yield from _mapping_endpoints(node)
    elif isinstance(node, list):
        for item in node:
            yield from _endpoints(item)


def _mapping_endpoints(node: Mapping[object, object]) -> Iterator[tuple[str, str]]:
    path = next(
        (node[key] for key in ("path", "url", "endpoint", "route") if isinstance(node.get(key), str)), None
    )
    methods = node.get("method", node.get("methods"))
    if isinstance(path, str) and methods is not None:
        for method in (
            [methods] if isinstance(methods, str) else list(methods) if isinstance(methods, list) else []
        ):
            yield str(method).upper(), normalize_path(path)
        return
    for key, value in node.items():
        if isinstance(key, str) and key.startswith("/") and isinstance(value, Mapping | list):
            for method in value:
                yield str(method).upper(), normalize_path(key)
        else:
            yield from _endpoints(key)
            yield from _endpoints(value)


def normalize_path(path: str) -> str:
    """A listed path in the format of Operation.path: relative to `/v1/project`, with `{id}` and `{filename}`."""
    path = re.sub(r"^https?://[^/]+", "", path).split("?", 1)[0].rstrip("/")
    path = path.removeprefix("/v1/project") if path.startswith("/") else "/" + path
    named = iter(("{id}", "{filename}"))
    return _PATH_PARAMETER.sub(lambda _: next(named, "{other}"), path)
