"""Phrases that don't belong into anything a user or a maintainer reads. A net, not the standard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs_markdown import ROOT, read

BANNED = {
    r"so that no\b": "say what happens: `so …`",
    r"nobody is here|nobody was here": "there is no terminal",
    r"\banew\b": "again",
    r"what is done stays|what was done stays": "completed … are kept",
    r"\bputs? (?:it |them )?right\b": "fix",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\bways? down\b": "down migration",
    r"\bways? (?:round|around it)\b": "workaround",
    r"\b(?:is|are|was|were) told\b": "is reported, or is shown",
    r"\b(?:tells?|told) of\b": "mentions, or reports",
    r"\bgo(?:es)? on (?:from|by|as)\b": "continues",
    r"\bso many\b|\bso long\b": "a number, or `how many`",
    r"\bmoved since\b": "changed since",
    r"\bwhoever\b|\bwhosoever\b": "who it is",
    r"\bif need be\b|\bas need be\b": "if needed",
    r"\ball the same\b": "anyway, or still",
    r"\bagrees? beforehand|\bbeforehand\b": "in advance, pre-approve",
    r"\bsign-in links?\b": "magic link",
    r"\bstored files?\b": "storage files",
    r"(?-i:\blease_(?:held|lost)\b)": "lock_held, lock_lost",
    r"--break-lease": "--force-unlock",
    r"(?-i:\bHARM\b)": "destructive|prune=N",
    r"\bpart \d+ of \d+\b": "step",
    r"\bmails\b": "emails",
    r"\bhears? of\b|\bheard of\b": "no heartbeat, or knows",
    r"\bis no (?:longer )?(?:whole|saved|valid)\b": "isn't",
    r"\b(?:isn't|aren't) ours\b|\bis ours\b": "say whose it is",
    r"\bever meant\b|\bis meant for nobody\b": "say what it prevents",
    r"\bin step (?:with|again)\b": "up to date, in sync",
    r"\bat its leisure\b|\bthereby\b|\bthereof\b|\bhence\b|\blest\b|\bherein\b|\bwhereof\b": "everyday words",
    r"\bnews to\b|\bno news\b": "nothing new",
    r"\bit is no \w+\b": "it isn't a …",
    r"\bstands? in the way\b": "blocks",
}
"""Pattern → what to write instead (VOICE: the field's words, plain and active)."""

TEXTS = sorted(
    path
    for pattern in (
        "*.md", "docs/*", "llms.txt", "skills/**/*", "schemas/*", "action.yml", "examples/**/*",
        "mosaic_deploy/**/*.py", "mosaic_deploy/**/*.html", "mosaic_deploy/**/*.js",
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix in {".md", ".txt", ".py", ".json", ".yaml", ".yml", ".html", ".js", ".sql"}
)  # fmt: skip


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_banned_phrase(path: Path) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}: {instead}"
        for number, line in enumerate(read(path).splitlines(), 1)
        if not (path.name == "CHANGELOG.md" and line.startswith("| `"))  # old names, beside the new ones
        for pattern, instead in BANNED.items()
        if (match := re.search(pattern, line, re.IGNORECASE))
    ]
    assert found == [], "\n".join(found)


def test_the_net_has_no_hole() -> None:
    """Each pattern finds the phrase that it was made for."""
    assert all(re.compile(pattern) for pattern in BANNED)
    assert re.search("|".join(BANNED), "so that no other of this name is ever meant")
    assert not re.search(
        "|".join(BANNED), "Pin the project ID in mosaic.yaml so a same-named project is never used"
    )
