"""Identifies a manifest among those that deploy to one project, and says which recorded ones are the same.

An identity is its path in the git repository and, if known, what tells that repository from others: the host and path of
`origin`, `web/mosaic.yaml#origin=github.com/acme/shop`, else the first commit, `web/mosaic.yaml#commit=…`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

ORIGIN, COMMIT = "origin", "commit"
_IDENTITY = re.compile(rf"(?P<path>.*)#(?P<repository>(?:{ORIGIN}|{COMMIT})=[^#]+)", re.DOTALL)
_SHORT_COMMIT = 12


@dataclass(frozen=True, slots=True)
class ManifestNames:
    """Recorded identities: those in `exact`, and those that begin with one of `prefixes`."""

    exact: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    def include(self, recorded: str) -> bool:
        return recorded in self.exact or recorded.startswith(self.prefixes)


def identity_of(path: str, repository: str) -> str:
    """`repository` is what `git.repository_name` returns."""
    return f"{path}#{repository}" if repository else path


def path_of(identity: str) -> str:
    return _split(identity)[0]


def repository_of(identity: str) -> str:
    return _split(identity)[1]


def _split(identity: str) -> tuple[str, str]:
    found = _IDENTITY.fullmatch(identity)
    return (found["path"], found["repository"]) if found else (identity, "")


def same_names(identity: str) -> ManifestNames:
    """The recorded identities that may be this manifest's.

    The path is equal, and the repository is equal or can't be compared: a project may be deployed before it has a commit or
    an origin. An empty record is anybody's.
    """
    path, repository = _split(identity)
    others = [kind for kind in (ORIGIN, COMMIT) if kind != _kind(repository)]
    return ManifestNames(("", path, identity), tuple(f"{path}#{kind}=" for kind in others))


def same_manifest(identity: str, recorded: str) -> bool:
    """Whether `recorded` may be the manifest `identity`, which is empty if unknown."""
    return not identity or same_names(identity).include(recorded)


def vaguer_names(identity: str) -> ManifestNames:
    """The recorded identities of this manifest that say less about the repository. They are replaced."""
    path, repository = _split(identity)
    match _kind(repository):
        case "origin":
            return ManifestNames(("", path), (f"{path}#{COMMIT}=",))
        case "commit":
            return ManifestNames(("", path))
        case _:
            return ManifestNames(("",))


def other_repository(one: str, other: str) -> bool:
    """Whether `origin=…` or `commit=…` of two manifests are known to be different repositories."""
    return _kind(one) == _kind(other) and one != other


def _kind(repository: str) -> str:
    return repository.partition("=")[0]


def manifest_texts(identities: Iterable[str], own: str) -> list[str]:
    """The identities for people, sorted: the path, and the repository if another of them or `own` has the same path."""
    found = set(identities)
    paths = [path_of(each) for each in found | {own}]
    return sorted(
        named_manifest(path_of(each), repository_of(each), alone=paths.count(path_of(each)) == 1)
        for each in found
    )


def named_manifest(path: str, repository: str, *, alone: bool) -> str:
    """`mosaic.yaml`; unless it is `alone` with this path, `mosaic.yaml of github.com/acme/shop`."""
    if alone or not repository:
        return path
    kind, _, value = repository.partition("=")
    if kind == COMMIT:
        return f"{path} of the repository whose first commit is {value[:_SHORT_COMMIT]}"
    return f"{path} of {value}"
