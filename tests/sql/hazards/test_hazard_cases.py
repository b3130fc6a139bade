"""Every rule has a bad and a good file in tests/cases/lint/CODE, and a section in docs/lint.md.

A bad file starts with its exact findings: `-- expect: LINE:COLUMN severity code message`. A good file has none. Both
are reviewed with tests/cases/lint/setup.sql as an applied migration. A line `-- protected: orders, app.invoices` sets
the policy.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.sql.execution.split import split_steps
from mosaic_deploy.sql.hazards import FROM_REHEARSALS, RULES, Script, review
from mosaic_deploy.sql.parse import parse
from tests.docs_markdown import ROOT, sections

CASES = ROOT / "tests" / "cases" / "lint"
CODES = [rule.code for rule in RULES]
WITH_CASES = [code for code in CODES if code not in FROM_REHEARSALS | {"updates_unknown"}]
"""Without what only a rehearsal or the database shows: tests/deploy/rehearsal/test_findings.py, test_declared_updates.py."""


def script(file: Path) -> Script:
    text = file.read_text(encoding="utf-8")
    steps = split_steps(
        parse(text), each_alone="transaction=false" if "mosaic: transaction=false" in text else ""
    )
    return Script(file.name, text, tuple(steps))


def policy_of(text: str) -> PolicySpec | None:
    """The policy from a case's line `-- protected: table, table`."""
    found = re.search(r"^-- protected: (.*)$", text, re.MULTILINE)
    return PolicySpec("allow", tuple(found.group(1).split(", "))) if found else None


def found_in(file: Path) -> list[str]:
    """The findings in the file that aren't silenced, in the form of its `expect` lines."""
    scripts = [script(CASES / "setup.sql"), script(file)]
    hazards = review(scripts, all_pending=False, policy=policy_of(file.read_text(encoding="utf-8"))).hazards
    return [
        f"{h.location.line}:{h.location.column} {h.severity} {h.code} {h.message}"
        for h in hazards
        if h.location.file == file.name and not h.ignored
    ]


@pytest.mark.parametrize("code", WITH_CASES)
def test_bad_file_has_its_findings(code: str) -> None:
    file = CASES / code / "bad.sql"
    expected = re.findall(r"^-- expect: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert any(f" {code} " in line for line in expected)
    assert found_in(file) == expected


@pytest.mark.parametrize("code", WITH_CASES)
def test_good_file_has_no_findings(code: str) -> None:
    assert found_in(CASES / code / "good.sql") == []


def test_every_folder_is_a_rule() -> None:
    assert {path.name for path in CASES.iterdir() if path.is_dir()} == set(WITH_CASES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_is_in_lint_md(rule) -> None:
    text = sections(ROOT / "docs" / "lint.md").get(rule.code)
    assert text, f"docs/lint.md has no section `{rule.code}`"
    assert text.lstrip().startswith(f"*{rule.severity}")
    for part in ("**What.**", "**Why.**", "**Instead.**", "```sql"):
        assert part in text, f"the section `{rule.code}` lacks {part}"


def test_lint_md_has_no_unknown_rules() -> None:
    headings = set(sections(ROOT / "docs" / "lint.md"))
    assert {each for each in headings if re.fullmatch(r"[a-z]+[0-9]?(_[a-z0-9]+)*", each)} == set(CODES)
