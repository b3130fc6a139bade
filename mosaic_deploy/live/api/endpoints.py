"""The one table of operations: nothing else in the code spells a path of the API.

Paths are relative to `/v1/project`. Those marked `documented=False` are defaults for what the platform's
guide leaves open; discovery corrects them. Optional operations are used only where discovery lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Operation:
    """`words` are what a listed endpoint's path must contain to be this operation: one of each group.

    `without` are words that make it another one, such as a stored file's where a page is meant.
    """

    name: str
    method: str
    path: str
    documented: bool = True
    optional: bool = False
    repeatable: bool = True
    """Whether sending the request twice does no more than sending it once."""
    paced: bool = False
    """Whether it is one of many, sent side by side and as fast as the platform likes; see live/pace.py."""
    words: tuple[tuple[str, ...], ...] = ()
    without: frozenset[str] = frozenset()


DISCOVER = Operation("discover", "GET", "")
LIST_PROJECTS = Operation("list projects", "GET", "/projects")
CREATE_PROJECT = Operation("create project", "POST", "/projects", repeatable=False)
CREDENTIALS = Operation("credentials", "GET", "/{id}/credentials")
RUN_SQL = Operation("run SQL", "POST", "/{id}/sql")
RUN_SQL_ONCE = replace(RUN_SQL, repeatable=False)
PUT_FILE = Operation("upload static file", "POST", "/{id}/files", paced=True)
LIST_FILES = Operation("list static files", "GET", "/{id}/files")
DELETE_FILE = Operation(
    "delete static file",
    "DELETE",
    "/{id}/files/{filename}",
    documented=False,
    optional=True,
    paced=True,
    words=(("files", "file"),),
    without=frozenset({"storage", "s3"}),
)
STORAGE_UPLOAD = Operation(
    "storage upload URL",
    "POST",
    "/{id}/storage/upload",
    documented=False,
    paced=True,
    words=(("storage", "s3"), ("upload", "uploads")),
    without=frozenset({"complete", "abort", "multipart", "part", "parts"}),
)
LIST_STORAGE = Operation(
    "list storage",
    "GET",
    "/{id}/storage",
    documented=False,
    words=(("storage", "s3"),),
    without=frozenset({"usage", "quota", "url", "urls", "upload", "uploads", "download", "settings"}),
)
DELETE_STORED = Operation(
    "delete stored object",
    "DELETE",
    "/{id}/storage/{filename}",
    documented=False,
    optional=True,
    paced=True,
    words=(("storage", "s3"),),
)
SEND_MAGIC_LINK = Operation(
    "send magic link",
    "POST",
    "/{id}/auth/magic-link",
    documented=False,
    repeatable=False,
    words=(("auth",), ("magic", "magiclink")),
    without=frozenset({"verify", "callback", "settings", "config"}),
)
VERIFY_MAGIC_LINK = Operation(
    "verify magic link",
    "POST",
    "/{id}/auth/verify",
    documented=False,
    optional=True,
    repeatable=False,
    words=(("auth",), ("verify",)),
)
READ_AUTH = Operation(
    "read auth settings",
    "GET",
    "/{id}/auth/settings",
    documented=False,
    optional=True,
    words=(("auth",), ("settings", "config")),
)
WRITE_AUTH = Operation(
    "write auth settings",
    "PUT",
    "/{id}/auth/settings",
    documented=False,
    optional=True,
    words=(("auth",), ("settings", "config")),
)
SUBMIT_TICKET = Operation(
    "submit ticket",
    "POST",
    "/tickets",
    documented=False,
    repeatable=False,
    words=(("ticket", "tickets", "support"),),
)

OPERATIONS = (
    DISCOVER,
    LIST_PROJECTS,
    CREATE_PROJECT,
    CREDENTIALS,
    RUN_SQL,
    PUT_FILE,
    LIST_FILES,
    DELETE_FILE,
    STORAGE_UPLOAD,
    LIST_STORAGE,
    DELETE_STORED,
    SEND_MAGIC_LINK,
    VERIFY_MAGIC_LINK,
    READ_AUTH,
    WRITE_AUTH,
    SUBMIT_TICKET,
)

_PARAMETER = re.compile(r"\{[^{}/]*\}|<[^<>/]*>|\[[^\[\]/]*\]|(?<=/):\w+")
"""`{id}`, `{path:filename}`, `<path:filename>`, `[id]`, `:id`."""
_WORD = re.compile(r"[a-z0-9]+")
_LISTED = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE)[\s:]+((?:https?://|[/{<])[^\s\"'`,;()]+)", re.IGNORECASE)


def bind(listing: object) -> dict[str, str]:
    """Operation names to paths, read from any reasonable shape of `GET /v1/project`'s answer.

    Only undocumented operations are bound: the documented ones keep their paths. Where several listed
    endpoints match, the shortest path wins.
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
        all(fixed & set(group) for group in operation.words)
        and not fixed & operation.without
        and wanted_parameters == re.findall(r"\{[^}]*\}", path)
        and path.count("{") == path.count("}") == len(wanted_parameters)
    )


def _endpoints(node: object) -> Iterator[tuple[str, str]]:
    """Every (METHOD, normalised path) found anywhere in a listing."""
    if isinstance(node, str):
        for method, path in _LISTED.findall(node):
            yield method.upper(), normalise(path)
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
            yield str(method).upper(), normalise(path)
        return
    for key, value in node.items():
        if isinstance(key, str) and key.startswith("/") and isinstance(value, Mapping | list):
            for method in value:
                yield str(method).upper(), normalise(key)
        else:
            yield from _endpoints(key)
            yield from _endpoints(value)


def normalise(path: str) -> str:
    """A listed path as a template of ours: relative to `/v1/project`, parameters named `{id}`, `{filename}`."""
    path = re.sub(r"^https?://[^/]+", "", path).split("?", 1)[0].rstrip("/")
    path = path.removeprefix("/v1/project") if path.startswith("/") else "/" + path
    named = iter(("{id}", "{filename}"))
    return _PARAMETER.sub(lambda _: next(named, "{other}"), path)
