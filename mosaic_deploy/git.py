"""Asks git about the repository that a folder is in. Git only reads, and starts no program that a repository names.

Git takes a folder with HEAD, objects and refs for a repository, too. Such a folder can be committed to another repository,
with a config that names programs. So commands run where a `.git` is, with settings that exclude other repositories.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

_TIMEOUT = 10.0
_SAFE_SETTINGS = ("safe.bareRepository=explicit", "core.fsmonitor=false", "core.hooksPath=/dev/null")
_OTHER_REPOSITORY = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_SHALLOW_FILE"}
)
"""Variables that git sets for hooks: they name the hook's repository, not that of the folder."""
_SAFE_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}


def repository_root(folder: Path) -> Path | None:
    """The folder with the `.git` of the repository that `folder` is in."""
    absolute = folder.resolve()
    return next((each for each in (absolute, *absolute.parents) if (each / ".git").exists()), None)


def path_in_repository(root: Path, file: Path) -> str:
    """The path of `file` as the repository at `root` has it; a link isn't followed."""
    return (file.parent.resolve().relative_to(root) / file.name).as_posix()


def run_git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    """A command that reads the repository at `root`, which has a `.git`; None if there is no git, or it takes too long."""
    environ = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY}
    settings = [word for setting in _SAFE_SETTINGS for word in ("-c", setting)]
    try:
        return subprocess.run(
            ["git", *settings, "-C", str(root), *arguments],
            capture_output=True, timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL, text=True, errors="replace",
            # If this `.git` is none, it isn't about a repository around it.
            env={**environ, **_SAFE_ENVIRONMENT, "GIT_CEILING_DIRECTORIES": str(root.parent)},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None


def repository_name(root: Path) -> str:
    """What tells the repository at `root` from others, the same on every machine; empty if nothing does.

    `origin=github.com/acme/shop` if there is such a remote, else `commit=` and the first commit, unless the clone is shallow.
    """
    key = (root, _changed_at(root / ".git" / "config"), _changed_at(root / ".git" / "HEAD"))
    if not _NAMES.get(key):
        _NAMES[key] = _origin(root) or _first_commit(root)
    return _NAMES[key]


_NAMES: dict[tuple[Path, int, int], str] = {}
"""A command asks several times, and each answer costs a process."""


def _changed_at(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _origin(root: Path) -> str:
    # With the user's abbreviations of URLs (`insteadOf`), which other machines don't have.
    found = run_git(root, "remote", "get-url", "origin")
    lines = found.stdout.splitlines() if found and found.returncode == 0 else []
    name = remote_name(lines[0]) if lines else ""
    return f"origin={name}" if name else ""


def _first_commit(root: Path) -> str:
    shallow = run_git(root, "rev-parse", "--is-shallow-repository")
    if shallow is None or shallow.returncode != 0 or shallow.stdout.strip() != "false":
        return ""
    # Of the main line: a history that is merged into it later has a first commit, too.
    found = run_git(root, "rev-list", "--first-parent", "--max-parents=0", "HEAD")
    lines = found.stdout.split() if found and found.returncode == 0 else []
    return f"commit={lines[0]}" if lines else ""


def default_branch(root: Path) -> str:
    """The branch of the repository at `root` that others are merged into: that of the remote, else the likeliest local one, else `main`."""
    head = _git_lines(root, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    if head:
        return head[0].removeprefix("origin/")
    # Without a commit there is no branch yet, but HEAD has the name of the first one.
    current = _git_lines(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    branches = _git_lines(root, "for-each-ref", "--format=%(refname:short)", "refs/heads") or current
    usual = next((name for name in ("main", "master") if name in branches), None)
    return usual or next(iter([*current, *branches]), "main")


def _git_lines(root: Path, *arguments: str) -> list[str]:
    found = run_git(root, *arguments)
    return found.stdout.split() if found and found.returncode == 0 else []


def remote_name(url: str) -> str:
    """`github.com/acme/shop` for the URL of a remote, whatever its protocol, port and user; empty if it has no public host.

    Nothing of a user or password is in it. A path on this machine, and a host that only this machine's settings know, such
    as an alias of ssh, say nothing on others.
    """
    scheme, separator, rest = url.strip().partition("://")
    if separator and scheme.lower() not in _NETWORK_SCHEMES:
        return ""
    # A password may have an unescaped `/` or `@` in it.
    rest = (rest if separator else scheme).rpartition("@")[2].lower()
    found = (_URL if separator else _SCP_URL).fullmatch(rest)
    if found is None or not _PUBLIC_HOST.fullmatch(found["host"]):
        return ""
    host = re.sub(r"^(?:alt)?ssh\.(?=.+\.)", "", found["host"])
    path = "/".join(part for part in found["path"].split("/") if part).removesuffix(".git").rstrip("/")
    return f"{host}/{path}" if path else ""


_NETWORK_SCHEMES = frozenset({"https", "http", "ssh", "git", "git+ssh", "ssh+git", "git+https", "git+http"})
_PATH = r"(?P<path>[\w.+~/-]+)"
"""Without what begins a query, which may have a token in it."""
_URL = re.compile(rf"(?P<host>[^/:]+)(?::\d*)?/{_PATH}")
_SCP_URL = re.compile(rf"(?P<host>[^/:]+):{_PATH}")
_PUBLIC_HOST = re.compile(r"(?:[\w-]+\.)+(?:[a-z]{2,}|xn--[a-z0-9-]+|\d{1,3})")
