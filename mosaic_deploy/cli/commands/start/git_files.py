"""Asks git whether `.env` is ignored, for what `init` writes."""

from __future__ import annotations

from pathlib import Path

from mosaic_deploy.git import path_in_repository, repository_root, run_git

IGNORE_FILE = ".gitignore"
DOTENV_FILE = ".env"


def is_tracked(folder: Path) -> bool:
    """Whether `.env` is tracked by git; then .gitignore has no effect on it."""
    return _git_code(folder, "ls-files", "--error-unmatch", "--", path=":(literal){}") == 0


def is_ignored(folder: Path) -> bool:
    """Whether git ignores `.env`. Without git, only the .gitignore in `folder` is read."""
    code = _git_code(folder, "check-ignore", "--quiet", "--no-index", "--", path="./{}")
    if code in (0, 1):
        return code == 0
    return DOTENV_FILE in {line.strip().lstrip("/") for line in _read_gitignore(folder).splitlines()}


def add_dotenv(text: str) -> str:
    """The text of a .gitignore with `.env` added."""
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{DOTENV_FILE}\n"


def _read_gitignore(folder: Path) -> str:
    try:
        return (folder / IGNORE_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _git_code(folder: Path, *command: str, path: str) -> int | None:
    """The exit code of a git command about `.env` in `folder`, written as in `path`; None without a repository or git."""
    root = repository_root(folder)
    if root is None:
        return None
    ended = run_git(root, *command, path.format(path_in_repository(root, folder / DOTENV_FILE)))
    return ended.returncode if ended else None
