"""Where this program was installed from, to install extras from the same source.

It is never installed by its name alone: on a package index, that name may belong to someone else.
"""

from __future__ import annotations

import json
import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mosaic_deploy.git import run_git

_NAME = "mosaic-deploy"
_GITHUB = re.compile(r"(?:https://(?:[^/@]+@)?|ssh://git@|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def install_command(extra: str) -> str:
    """The pip command that adds an extra: from the same folder, file or repository, else the extra's packages by name."""
    origin = _read_install_origin()
    address = str(origin.get("url", ""))
    if address.startswith("file:"):
        path = unquote(urlsplit(address).path)
        editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
        return f"pip install {editable}{shlex.quote(f'{path}[{extra}]')}"
    if "vcs_info" in origin:
        vcs, commit = origin["vcs_info"]["vcs"], origin["vcs_info"]["commit_id"]
        return f"pip install {shlex.quote(f'{_NAME}[{extra}] @ {vcs}+{address}@{commit}')}"
    return f"pip install {' '.join(shlex.quote(each) for each in extra_requirements(extra))}"


def extra_requirements(extra: str) -> list[str]:
    """The requirements of an extra, without their markers."""
    marked = re.compile(rf"\s*;\s*extra == ['\"]{re.escape(extra)}['\"]\s*$")
    return [marked.sub("", each) for each in metadata.requires(_NAME) or () if marked.search(each)]


def github_reference() -> str | None:
    """`OWNER/REPOSITORY@COMMIT` on github.com that this program was installed from, None if not known to be there."""
    origin = _read_install_origin()
    address, commit = str(origin.get("url", "")), origin.get("vcs_info", {}).get("commit_id", "")
    if address.startswith("file:"):
        folder = Path(unquote(urlsplit(address).path))
        address, commit = (
            _git_output(folder, "remote", "get-url", "origin"),
            _git_output(folder, "rev-parse", "HEAD"),
        )
        if not _git_output(folder, "branch", "--remotes", "--contains", "HEAD"):
            return None
    found = _GITHUB.fullmatch(address)
    return f"{found[1]}@{commit}" if found and _COMMIT.fullmatch(commit) else None


def _read_install_origin() -> dict[str, Any]:
    """The contents of direct_url.json (PEP 610); empty for an installation from a package index."""
    try:
        found = json.loads(metadata.distribution(_NAME).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _git_output(folder: Path, *arguments: str) -> str:
    """Git's output without surrounding space; empty if git fails."""
    ended = run_git(folder, *arguments)
    return ended.stdout.strip() if ended and ended.returncode == 0 else ""
