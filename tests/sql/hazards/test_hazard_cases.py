"""Every rule has a bad and a good file under tests/cases/lint/CODE, and an entry in docs/lint.md.

A bad file begins with what is found in it, exactly: `-- expect: LINE:COLUMN severity code message`. In a good
file nothing is found. Both stand on tests/cases/lint/setup.sql, as on a migration that is applied already. A line
`-- protected: orders, app.invoices` is the policy that the file is read with.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.execution.units import split_units
from mosaic_deploy.sql.hazards import RULES, Script, review
from mosaic_deploy.sql.parse import parse
from tests.docs_markdown import ROOT, sections

CASES = ROOT / "tests" / "cases" / "lint"
CODES = [rule.code for rule in RULES]


def script(file: Path) -> Script:
    text = file.read_text(encoding="utf-8")
    units = split_units(parse(text), transaction="mosaic: transaction=false" not in text)
    return Script(file.name, text, tuple(units))


def policy_of(text: str) -> PolicySpec | None:
    """What a case's line `-- protected: table, table` makes of the policy."""
    found = re.search(r"^-- protected: (.*)$", text, re.MULTILINE)
    return PolicySpec("allow", tuple(found.group(1).split(", "))) if found else None


def found_in(file: Path) -> list[str]:
    """What is found in the file and not silenced, as its `expect` lines say it."""
    scripts = [script(CASES / "setup.sql"), script(file)]
    hazards = review(scripts, all_pending=False, policy=policy_of(file.read_text(encoding="utf-8"))).hazards
    return [
        f"{h.location.line}:{h.location.column} {h.severity} {h.code} {h.message}"
        for h in hazards
        if h.location.file == file.name and not h.ignored
    ]


@pytest.mark.parametrize("code", CODES)
def test_a_bad_file_is_found_out(code: str) -> None:
    file = CASES / code / "bad.sql"
    expected = re.findall(r"^-- expect: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert any(f" {code} " in line for line in expected)
    assert found_in(file) == expected


@pytest.mark.parametrize("code", CODES)
def test_a_good_file_is_left_in_peace(code: str) -> None:
    assert found_in(CASES / code / "good.sql") == []


def test_every_folder_is_a_rule() -> None:
    assert {path.name for path in CASES.iterdir() if path.is_dir()} == set(CODES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_is_in_lint_md(rule) -> None:
    text = sections(ROOT / "docs" / "lint.md").get(rule.code)
    assert text, f"docs/lint.md has no section `{rule.code}`"
    assert text.lstrip().startswith(f"*{rule.severity}")
    for part in ("**What.**", "**Why.**", "**Instead.**", "```sql"):
        assert part in text, f"the section `{rule.code}` lacks {part}"


def test_lint_md_has_no_rule_that_is_not_there() -> None:
    headings = set(sections(ROOT / "docs" / "lint.md"))
    assert {each for each in headings if re.fullmatch(r"[a-z]+[0-9]?(_[a-z0-9]+)*", each)} == set(CODES)
