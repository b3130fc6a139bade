"""Every behaviour of reading a manifest is a case file in tests/cases/manifest. Start new ones with a new case.

A case has sections. `-- NAME --` is a file in the project folder, `-- NAME/ --` a folder, `-- NAME (escaped) --` a file
in which \\xNN and \\n are bytes, `-- NAME -> TARGET --` a symlink.
`-- in --` names the folder of the manifest, `-- environ --` sets variables, `-- environment --`
chooses an environment. The expected result is in `-- problems --`, the lines as users see them, or in `-- manifest --`,
the manifest's non-empty values as JSON.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mosaic_deploy.errors import ManifestInvalid
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.variable_value import VariableValue
from mosaic_deploy.source.manifest import read as manifest_module
from mosaic_deploy.source.manifest.read import read_manifest

CASES = Path(__file__).parents[2] / "cases" / "manifest"
DEFAULT_WORDS = ("each", "GET")
DEFAULTS = {"unsupported": "error", "check_links": "warn", "keep": 3600.0}
SPECIAL = ("environ", "environment", "in", "problems", "manifest")


def sections_of(case: Path) -> dict[str, str]:
    parts = re.split(r"^-- (.+) --\n", case.read_bytes().decode(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def create_files(sections: Mapping[str, str], root: Path) -> None:
    for name, text in sections.items():
        if name in SPECIAL:
            continue
        link, _, target = name.partition(" -> ")
        path = root / link.removesuffix(" (escaped)")
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target)
        elif name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif name.endswith(" (escaped)"):
            path.write_bytes(text.removesuffix("\n").encode().decode("unicode_escape").encode("latin-1"))
        else:
            path.write_bytes(text.encode())


def compact(value: Any) -> Any:
    """The value as JSON, without empty and default members."""
    if isinstance(value, Mapping):
        return {
            key: compact(member)
            for key, member in value.items()
            if not _empty(member) and DEFAULTS.get(key) != member
        }
    if isinstance(value, VariableValue):
        return value.reveal()
    return [compact(item) for item in value] if isinstance(value, (list, tuple)) else value


def _empty(member: Any) -> bool:
    return member is None or member is False or member in ((), "", *DEFAULT_WORDS) or compact(member) == {}


def outcome(sections: Mapping[str, str], root: Path) -> tuple[str, Any]:
    create_files(sections, root)
    environ = dict(line.split("=", 1) for line in sections.get("environ", "").splitlines())
    environment = sections.get("environment", "").strip() or None
    try:
        manifest = read_manifest(
            Path(sections.get("in", "").strip()), environment=environment, environ=environ
        )
    except ManifestInvalid as error:
        return "problems", [str(problem) for problem in error.problems]
    value = {
        key: member
        for key, member in asdict(manifest).items()
        if key not in ("file", "environment", "environments", "locations", "written", "held_rules")
    }
    value["warnings"] = tuple(str(warning) for warning in manifest.warnings)
    assert isinstance(manifest, Manifest)
    assert manifest.environment == environment
    return "manifest", compact(value)


ALL = sorted(CASES.glob("*.case"))
VALID = [case for case in ALL if "problems" not in sections_of(case) and "slow" not in case.stem]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.stem)
def test_case(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sections = sections_of(case)
    kind, found = outcome(sections, tmp_path)
    if "problems" in sections:
        assert (kind, found) == ("problems", sections["problems"].splitlines())
        assert not [line for line in found if re.search(r"is not of type|not valid under|s3cret", line)]
    else:
        assert (kind, found) == ("manifest", json.loads(sections["manifest"]))


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.stem)
def test_valid_manifests_need_no_jsonschema(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = sections_of(case)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mosaic_deploy.source.manifest.schema_messages", None)
    assert outcome(sections, tmp_path)[0] == "manifest"


def test_there_are_enough_cases() -> None:
    assert len(ALL) >= 60
    assert manifest_module.SCHEMA == "mosaic.schema.json"
