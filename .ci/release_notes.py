"""Prints the section of CHANGELOG.md for a tag's version; fails if the tag isn't the program's version.

python3 .ci/release_notes.py v1.2.3
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(tag: str, version: str, changelog: str) -> str:
    """The section's text without its heading. Raises ValueError with what to fix before tagging again."""
    if tag != f"v{version}":
        raise ValueError(
            f"the tag is {tag}, but the version in mosaic_deploy/version.py is {version}: they must match"
        )
    found = re.search(
        rf"^## {re.escape(version)}(?: [^\n]*)?\n(?P<text>.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    if found is None:
        raise ValueError(f"CHANGELOG.md has no section `## {version}`: rename `## Unreleased`")
    if not re.search(r"^- ", found["text"], re.MULTILINE):
        raise ValueError(f"the section `## {version}` of CHANGELOG.md is empty")
    return found["text"].strip() + "\n"


def _main() -> None:
    version = re.search(
        r'^__version__ = "(.+)"$', (ROOT / "mosaic_deploy/version.py").read_text(), re.MULTILINE
    )
    assert version
    try:
        text = notes(sys.argv[1], version[1], (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    except ValueError as error:
        sys.exit(f"no release: {error}")
    sys.stdout.write(text)


if __name__ == "__main__":
    _main()
