"""`.env`, where keys are, stays out of git."""

from __future__ import annotations

import subprocess
from pathlib import Path

IGNORE_FILE = ".gitignore"
NAME = ".env"


def repository_of(folder: Path) -> Path | None:
    """The root of the git repository that holds `folder`."""
    whole = folder.resolve()
    return next((each for each in (whole, *whole.parents) if (each / ".git").exists()), None)


def is_committed(folder: Path) -> bool:
    """Whether git follows `.env` already: no list of ignored files changes that."""
    return _git(folder, "ls-files", "--error-unmatch", NAME) == 0


def is_ignored(folder: Path) -> bool:
    """Whether git leaves `.env` out. Where git can't be asked, the file beside it answers."""
    code = _git(folder, "check-ignore", "--quiet", "--no-index", NAME)
    if code in (0, 1):
        return code == 0
    return NAME in {line.strip().lstrip("/") for line in _text(folder).splitlines()}


def with_dotenv(text: str) -> str:
    """A list of ignored files, with `.env` at its end."""
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{NAME}\n"


def _text(folder: Path) -> str:
    try:
        return (folder / IGNORE_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _git(folder: Path, *arguments: str) -> int | None:
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, timeout=10, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.returncode
