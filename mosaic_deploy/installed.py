"""From where this program was installed, which is from where more of it comes.

Its name alone is never a source: on an index of packages it may be somebody else's.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_NAME = "mosaic-deploy"
_GITHUB = re.compile(r"(?:https://(?:[^/@]+@)?|ssh://git@|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def install_command(extra: str) -> str:
    """What adds an extra to this installation: from the same folder, file or repository, else its packages by name."""
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
    """The requirements that an extra adds."""
    marked = re.compile(rf"\s*;\s*extra == ['\"]{re.escape(extra)}['\"]\s*$")
    return [marked.sub("", each) for each in metadata.requires(_NAME) or () if marked.search(each)]


def github_reference() -> str | None:
    """`OWNER/REPOSITORY@COMMIT` on github.com that this program is, None where that isn't known to be there."""
    origin = _read_install_origin()
    address, commit = str(origin.get("url", "")), origin.get("vcs_info", {}).get("commit_id", "")
    if address.startswith("file:"):
        folder = Path(unquote(urlsplit(address).path))
        address, commit = (
            _run_git(folder, "remote", "get-url", "origin"),
            _run_git(folder, "rev-parse", "HEAD"),
        )
        if not _run_git(folder, "branch", "--remotes", "--contains", "HEAD"):
            return None
    found = _GITHUB.fullmatch(address)
    return f"{found[1]}@{commit}" if found and _COMMIT.fullmatch(commit) else None


def _read_install_origin() -> dict[str, Any]:
    """What the installer wrote down (PEP 610); empty where it took the package from an index."""
    try:
        found = json.loads(metadata.distribution(_NAME).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _run_git(folder: Path, *arguments: str) -> str:
    """What git says, empty where it can't."""
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""
