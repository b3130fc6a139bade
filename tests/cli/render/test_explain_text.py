"""Markdown as text: without its marks, and with nothing else lost."""

from __future__ import annotations

import click
import pytest

from mosaic_deploy.cli.render.layout import markdown_lines
from mosaic_deploy.shipped_docs import read_explanations


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Means.** No `mosaic.yaml`.", ["Means. No `mosaic.yaml`."]),
        (
            "see [Backup](local.md#backup), or [it](https://a.example/b)",
            ["see Backup, or it (https://a.example/b)"],
        ),
        ("`a**b**c` and ``[x](y)``", ["`a**b**c` and ``[x](y)``"]),
        (
            "a\n\n```text\nerror[x]: **no** [a](b)\n\n  hint\n```\nb",
            ["a", "", "    error[x]: **no** [a](b)", "", "      hint", "b"],
        ),
        ("2 ** 3 ** 4 is `**`", ["2 ** 3 ** 4 is `**`"]),
    ],
)
def test_marks_are_removed(text: str, shown: list[str]) -> None:
    assert [click.unstyle(line) for line in markdown_lines(text)] == shown


def test_no_explanation_shows_fences_or_stars() -> None:
    for each in read_explanations():
        lines = [click.unstyle(line) for line in markdown_lines(each.text)]
        assert not [line for line in lines if line.startswith(("```", "**"))], each.code
