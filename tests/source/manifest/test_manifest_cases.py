"""Every behaviour of reading a manifest is a file under tests/cases/manifest; a new one begins as a new case.

A case is a text with sections. `-- NAME --` begins a file of that name in the project folder, `-- NAME/ --`
makes a folder, `-- NAME (escaped) --` a file whose \\xNN and \\n are bytes, `-- NAME -> TARGET --` a symlink.
`-- environ --` sets variables, `-- environment --` chooses one. Then comes what must be read, exactly:
`-- problems --` the lines as the user sees them, or `-- manifest --` what isn't empty of it, as JSON.
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
from mosaic_deploy.source.manifest import read as manifest_module
from mosaic_deploy.source.manifest.read import read_manifest

CASES = Path(__file__).parents[2] / "cases" / "manifest"
SPECIAL = ("environ", "environment", "problems", "manifest")


def sections_of(case: Path) -> dict[str, str]:
    parts = re.split(r"^-- (.+) --\n", case.read_bytes().decode(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def lay_out(sections: Mapping[str, str], root: Path) -> None:
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


def told(value: Any) -> Any:
    """What isn't empty or the default of a value, as JSON has it."""
    if isinstance(value, Mapping):
        return {key: told(member) for key, member in value.items() if not _empty(member)}
    return [told(item) for item in value] if isinstance(value, (list, tuple)) else value


def _empty(member: Any) -> bool:
    return member is None or member is False or member in ((), "", "each") or told(member) == {}


def outcome(sections: Mapping[str, str], root: Path) -> tuple[str, Any]:
    lay_out(sections, root)
    environ = dict(line.split("=", 1) for line in sections.get("environ", "").splitlines())
    environment = sections.get("environment", "").strip() or None
    try:
        manifest = read_manifest(Path(), environment=environment, environ=environ)
    except ManifestInvalid as error:
        return "problems", [str(problem) for problem in error.problems]
    value = {
        key: member
        for key, member in asdict(manifest).items()
        if key not in ("file", "environment", "locations")
    }
    assert isinstance(manifest, Manifest)
    assert manifest.environment == environment
    return "manifest", told(value)


ALL = sorted(CASES.glob("*.case"))
ACCEPTED_AT_ONCE = [case for case in ALL if "problems" not in sections_of(case) and "slow" not in case.stem]


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


@pytest.mark.parametrize("case", ACCEPTED_AT_ONCE, ids=lambda case: case.stem)
def test_manifests_without_mistakes_never_need_jsonschema(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = sections_of(case)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mosaic_deploy.source.manifest.schema_messages", None)
    assert outcome(sections, tmp_path)[0] == "manifest"


def test_there_are_enough_cases() -> None:
    assert len(ALL) >= 60
    assert manifest_module.SCHEMA == "mosaic.schema.json"
