"""The deployed commit, for the deployment history, and the files that differ from it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from mosaic_deploy.git import path_in_repository, repository_root, run_git
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.watch import watched_paths

_CI_VARIABLES = ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT")
"""Of GitHub, GitLab and Jenkins."""
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def read_commit(folder: Path, environ: Mapping[str, str] = os.environ) -> str | None:
    """The commit checked out in `folder`'s repository, else that of the CI run, else None.

    A job may check out another commit than the one it runs for: a tag to go back to, or a branch that has moved on.
    The files may differ from it: see `uncommitted_files`.
    """
    with contextlib.suppress(OSError, ValueError):
        if head := _read_head(folder.resolve()):
            return head
    return next((environ[name] for name in _CI_VARIABLES if _HASH.fullmatch(environ.get(name, ""))), None)


def uncommitted_files(manifest: Manifest) -> tuple[str, ...]:
    """What a deploy of `manifest` reads that differs from the checked-out commit, relative to the repository's root.

    Files that git ignores, as a build's output, don't count. Empty also if git can't say.
    """
    root = repository_root(manifest.root)
    if root is None or _has_own_filters(root):
        return ()
    paths = watched_paths(manifest)
    names = (*paths.folders, *(name for name in paths.files if name != ".env"))
    try:
        inside = [path_in_repository(root, paths.root / name) for name in names]
    except ValueError:
        return ()
    ended = run_git(root, *_STATUS, "--", *(f":(literal){path}" for path in inside))
    if ended is None or ended.returncode != 0:
        return ()
    return tuple(entry[3:] for entry in ended.stdout.split("\0") if entry)


_STATUS = (
    "-c", "core.fileMode=false", "status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=dirty",
)  # fmt: skip


def _has_own_filters(root: Path) -> bool:
    """Whether the repository's own configuration names programs that a comparison of files would start."""
    asked = ("config", "--local", "--includes", "--name-only", "--get-regexp", r"^filter\.")
    found = run_git(root, *asked)
    return found is None or bool(found.stdout)


def _read_head(folder: Path) -> str | None:
    """The checked-out commit, read from git's files without starting a process."""
    git = next((place / ".git" for place in (folder, *folder.parents) if (place / ".git").exists()), None)
    if git is None:
        return None
    if git.is_file():  # in a worktree or submodule it is a file with the path
        git = (git.parent / git.read_text().partition("gitdir:")[2].strip()).resolve()
    head = (git / "HEAD").read_text().strip()
    if _HASH.fullmatch(head):
        return head
    name = head.partition("ref:")[2].strip()
    shared = git / "commondir"
    common = (git / shared.read_text().strip()).resolve() if shared.exists() else git
    for place in (git / name, common / name):
        if place.is_file() and _HASH.fullmatch(found := place.read_text().strip()):
            return found
    return _read_packed_ref(common / "packed-refs", name)


def _read_packed_ref(file: Path, name: str) -> str | None:
    if not file.is_file():
        return None
    lines = (line.split() for line in file.read_text().splitlines())
    return next((words[0] for words in lines if len(words) == 2 and words[1] == name), None)
