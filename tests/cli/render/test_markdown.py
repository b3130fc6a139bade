"""Names from SQL and files in a pull request's comment: they mention nobody and link nowhere."""

from __future__ import annotations

import re

import pytest

from mosaic_deploy.cli.render.markdown import failed_markdown, plan_markdown
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Project

_LINKS = re.compile(
    r"@\w|#\d|\b(?:https?|ftp)://\S|\bwww\.\w|\bGH-\d|\b(?:mailto|xmpp):\S|[\w.]+@[\w.]+|!?\[[^\]]*\]\(|<a\b|<img\b",
    re.IGNORECASE,
)
"""What GitHub makes a link or a mention of, in the text that Markdown leaves."""
_FENCED = re.compile(r"^(`{3,}).*?^\1$", re.MULTILINE | re.DOTALL)


def visible(markdown: str) -> str:
    """The text outside of code as GitHub looks for links in it: escaped characters are text, but escaped markup is none."""
    return re.sub(
        r"\\([^\w\s])", lambda found: found[1] if found[1] in "@#-" else "·", _FENCED.sub("", markdown)
    )


@pytest.mark.parametrize(
    "name",
    [
        "@octocat", "@org/team", "https://evil.example/x", "http://evil.example", "www.evil.example", "ftp://evil.example",
        "someone@evil.example", "mailto:someone@evil.example", "#1", "octocat/repo#1", "GH-1", "[x](https://evil.example)",
        "![x](https://evil.example/p.png)", "<img src=https://evil.example>", "<a href='https://evil.example'>x</a>",
        "```\n@octocat\n```", "\\@octocat", "x -->@octocat",
    ],
)  # fmt: skip
def test_names_are_inert(name: str) -> None:
    change = ApplyMigration(
        "1", f"1_{name}.sql", "", "", summary=f"drops {name}", destroys=(f'table "{name}"',)
    )
    plan = Plan(Project("id", name, "", "active"), (change,), (), "", "", 1, environment=name)
    for text in (
        plan_markdown(plan, name, 10_000),
        failed_markdown(MosaicError(name, hint=name), name, 10_000),
    ):
        assert not _LINKS.search(visible(text)), visible(text)
