"""The target of an agent's call: a folder below the server's root, and the account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.next_commands import Scope
from mosaic_deploy.cli.support_ticket import offer_ticket
from mosaic_deploy.cli.target.api_access import open_api
from mosaic_deploy.cli.target.session import Session, open_session
from mosaic_deploy.diff.policies import stricter_policy
from mosaic_deploy.errors import EnvironmentRequired, KeyMissing, MosaicError, NextAction, UsageInvalid
from mosaic_deploy.git import path_in_repository, repository_root, run_git
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES
from mosaic_deploy.source.manifest.folders import named_paths
from mosaic_deploy.source.manifest.policy import read_policy_text
from mosaic_deploy.source.manifest.text import MAX_BYTES

if TYPE_CHECKING:
    from mosaic_deploy.cli.target.project_manifest import ManifestUse
    from mosaic_deploy.live.api.client import Api

_TIMEOUT = 30.0
"""Seconds, as on the command line."""


@dataclass(frozen=True, slots=True)
class ToolTarget:
    """The project of a call. `path` is a manifest, or a folder with one, below `root`."""

    root: Path
    path: str = "."
    environment: str | None = None
    local: bool = False
    project_id: str | None = None
    allow: frozenset[str] = frozenset()
    """What the person who started the server allows agents."""
    repository: Path | None = None
    """The root of the git repository that `root` was in when the server started."""
    build: bool = False
    """Whether the person who started the server lets it run the manifest's build."""

    @property
    def absolute_path(self) -> Path:
        """Raises UsageInvalid if `path` is outside `root`, or isn't a manifest."""
        return resolve_manifest(self.root, self.path)

    def open(self, tool: str, manifest: ManifestUse = "required") -> Session:
        """Reads the manifest and finds the account for a call of `tool`. Raises MosaicError's children.

        The manifest has the policy that counts for agents: what the file in the folder or the committed one forbids.
        """
        with _explain_missing_key(self.root), _explain_missing_environment():
            session = open_session(
                str(self.absolute_path),
                environment=self.environment,
                local=self.local,
                project_id=self.project_id,
                timeout=_TIMEOUT,
                attempted_command=_tool_call(tool),
                manifest_use=manifest,
            )
        read = session.manifest
        try:
            refuse_outside(self.root, read)
        except UsageInvalid:
            session.api.close()
            raise
        policy = stricter_policy(read.policy, committed_policy(read.file, read.environment, self.repository))
        return replace(session, manifest=replace(read, policy=policy))


@contextmanager
def open_tool_api(root: Path, tool: str, *, local: bool) -> Iterator[Api]:
    """The account's API for a call of `tool` without a project. Raises MosaicError's children."""
    try:
        with _explain_missing_key(root), open_api(root, local=local) as api:
            yield api
    except MosaicError as error:
        offer_ticket(error, _tool_call(tool), Scope(local=local, path=str(root)))
        raise


def _tool_call(tool: str) -> str:
    return f"the tool {tool} of mosaic-deploy mcp"


@contextmanager
def _explain_missing_key(root: Path) -> Iterator[None]:
    """Replaces the hint about the command line, which an agent can't change."""
    try:
        yield
    except KeyMissing as error:
        error.hint = (
            "call the tool with local: true to use the embedded platform, which needs no key; for the account, a "
            f"person sets MOSAIC_API_KEY in this server's environment or in {root / '.env'}, or logs in"
        )
        error.next_actions = (
            NextAction(
                "a person can save an API key on this machine", "mosaic-deploy login", needs_person=True
            ),
        )
        raise


@contextmanager
def _explain_missing_environment() -> Iterator[None]:
    """Replaces the hint about the command line by one about the tool's argument."""
    try:
        yield
    except EnvironmentRequired as error:
        error.hint, error.next_actions = "call the tool again with environment", ()
        raise


def committed_policy(file: Path, environment: str | None, repository: Path | None) -> PolicySpec:
    """The policy of `file` in the checked-out commit of `repository`; the default one if there is none that can be read.

    Unlike the file in the folder, an agent that edits files can't change it, unless it may commit or write below `.git`.
    A repository inside `repository`, which an agent may have made, can only forbid more.
    """
    nearest = repository_root(file.parent)
    return reduce(
        stricter_policy,
        [_policy_in(root, file, environment) for root in dict.fromkeys((repository, nearest))],
    )


def _policy_in(root: Path | None, file: Path, environment: str | None) -> PolicySpec:
    if root is None or not file.parent.resolve().is_relative_to(root):
        return PolicySpec()
    found = run_git(root, "cat-file", "blob", f"HEAD:{path_in_repository(root, file)}")
    if found is None or found.returncode != 0:
        return PolicySpec()
    return read_policy_text(found.stdout, environment)


def resolve_manifest(root: Path, path: str) -> Path:
    """`path` as an absolute path. Raises UsageInvalid if it is outside `root`, or a file that isn't a manifest.

    Errors show lines of the manifest, so any other file could be read that way.
    """
    place = resolve_inside(root, path)
    try:
        named = [place / name for name in MANIFEST_NAMES] if place.is_dir() else [place]
        exist = [file for file in named if file.is_file()]
    except OSError as error:  # a name that is too long
        raise UsageInvalid(f"invalid path {path[:_MAX_SHOWN]!r}: {error.strerror}") from None
    for file in exist:
        # A link called mosaic.yaml may lead to another file.
        real = resolve_inside(root, str(file))
        if not _is_manifest(real):
            raise UsageInvalid(
                f"{path!r} isn't a manifest; agents can read only manifests, and the SQL that they name",
                hint=f"pass a folder with a {MANIFEST_NAMES[0]}, or a manifest that begins with `version: 1`",
            )
    return place


_MAX_SHOWN = 100
"""Characters of a path in an error."""
_VERSION_LINE = re.compile(rb"^version[ \t]*:[ \t]*1[ \t]*(?:#.*)?\r?$", re.MULTILINE)


def _is_manifest(file: Path) -> bool:
    """By its name, or by its ending and its version: other tools' YAML files may have secrets."""
    if file.name in MANIFEST_NAMES:
        return True
    try:
        with file.open("rb") as stream:
            return (
                file.suffix in (".yaml", ".yml") and _VERSION_LINE.search(stream.read(MAX_BYTES)) is not None
            )
    except OSError:
        return False


def refuse_outside(root: Path, manifest: Manifest) -> None:
    """Raises UsageInvalid if the manifest names a folder outside `root`: other folders of its repository aren't for agents."""
    for name in named_paths(manifest):
        resolve_inside(root, str(manifest.root / name))


def resolve_inside(root: Path, path: str) -> Path:
    """`path` as an absolute path. Raises UsageInvalid if it is outside `root`."""
    try:
        place = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageInvalid(f"invalid path {path!r}: {error}") from None
    if not place.is_relative_to(root.resolve()):
        raise UsageInvalid(
            f"{path!r} is outside the server's root folder {root}",
            hint="a person can start `mosaic-deploy mcp` with another --root",
        )
    return place
