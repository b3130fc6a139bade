"""llms.txt and the skill are up to date and in the shape that readers expect."""

from __future__ import annotations

import re

import pytest
import yaml

from docs.agent_texts import ROOT, texts
from mosaic_deploy.errors import all_errors
from mosaic_deploy.shipped_docs import read_skill
from tests.test_docs import COMMANDS, FIELDS

LLMS, SKILL = "llms.txt", "skills/mosaic-deploy/SKILL.md"


@pytest.mark.parametrize("name", [LLMS, SKILL])
def test_the_committed_files_are_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == texts()[name], "run: python docs/agent_texts.py"


def test_llms_txt_follows_the_format() -> None:
    title, _, summary, *rest = texts()[LLMS].splitlines()
    assert title == "# mosaic-deploy"
    assert summary.startswith("> ")
    headings = [line for line in rest if line.startswith("#")]
    assert headings == ["## Documentation", "## Schemas", "## Commands", "## Errors", "## Optional"]
    listed = "\n".join(rest).partition("## ")[2]
    for line in listed.splitlines():
        assert (
            not line
            or line in {each[3:] for each in headings} | set(headings)
            or re.match(r"- \[[^\]]+\]\([^)]+\): \S", line)
        ), line


def test_llms_txt_names_every_command_and_every_code() -> None:
    text = texts()[LLMS]
    assert [name for name in COMMANDS if name != "mosaic-deploy" and f"[{name}](" not in text] == []
    codes = [kind.code for kind in all_errors() if not kind.__subclasses__()]
    assert [code for code in codes if f"[{code}](docs/errors.md#{code})" not in text] == []


def test_the_skill_has_front_matter() -> None:
    _, front, body = texts()[SKILL].split("---\n", 2)
    facts = yaml.safe_load(front)
    assert set(facts) == {"name", "description"}
    assert facts["name"] == (ROOT / SKILL).parent.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", facts["name"])
    assert len(facts["name"]) <= 64
    assert 1 <= len(facts["description"]) <= 1024
    assert "Use it when" in facts["description"]
    assert len(body.splitlines()) < 500, "longer skills aren't read"
    assert "@" not in re.sub(r"\S+@\S+", "", body), "an unfilled placeholder"


def test_the_skill_names_every_field_and_every_code() -> None:
    text = texts()[SKILL]
    assert [path for path in FIELDS if f"| `{path}` |" not in text] == []
    assert [
        kind.code for kind in all_errors() if not kind.__subclasses__() and f"`{kind.code}`" not in text
    ] == []


def test_the_skill_is_shipped() -> None:
    assert read_skill() == texts()[SKILL]
