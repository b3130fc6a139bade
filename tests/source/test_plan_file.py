"""Saved plans are read exactly as written, or rejected."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_deploy.errors import FileExists, PlanFileInvalid, WriteFailed
from mosaic_deploy.model.change import Change
from mosaic_deploy.model.kind import BY_NAME
from mosaic_deploy.schema_files import read_schema
from mosaic_deploy.source.plan_file import checksum, read_plan_file, refuse_overwriting, write_plan_file

DIGEST = "a" * 64
PARTS = ("extensions", "migrations", "static", "storage", "repeatable", "seeds", "auth")
DOCUMENT = {
    "mosaic_deploy": "1.2.3",
    "format": 1,
    "type": "plan",
    "project": {"id": "p-1", "name": "été 🎉 \"quoted\"", "url": "", "status": "running"},
    "environment": None,
    "summary": {"add": 1, "change": 0, "destroy": 0},
    "changes": [
        {"kind": "static", "address": "static:a b.html", "action": "add", "reason": "new", "path": "a b.html"}
    ],
    "notes": [],
    "hazards": [],
    "policy": {"denied": [], "to_confirm": 0, "to_prune": 0, "to_overwrite": 0},
    "selection": None,
    "fingerprint": DIGEST,
    "saved": {
        "at": "2026-11-23T23:11:00+00:00",
        "manifest": "mosaic.yaml",
        "local": True,
        "api": None,
        "project": None,
        "allow_out_of_order": False,
        "origin": {
            "serial": 3,
            "manifest": dict.fromkeys(
                ("project", "database", "static", "storage", "auth", "verify", "policy"), DIGEST
            ),
            "desired": {"migrations": None, "static": {"a b.html": "b" * 16}, "storage": None, "seeds": None, "auth": None},
            "live": dict.fromkeys(PARTS, DIGEST),
            "hazards": [],
            "drift": {},
        },
    },
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    write_plan_file(path, DOCUMENT)
    return path


def test_a_written_plan_is_read_back(file: Path) -> None:
    read = read_plan_file(file, 1)
    assert read == {**DOCUMENT, "checksum": checksum(DOCUMENT)}
    assert [path.name for path in file.parent.iterdir()] == ["plan.json"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(data=st.data())
def test_a_truncated_plan_is_rejected(file: Path, data: st.DataObject) -> None:
    text = json.dumps({**DOCUMENT, "checksum": checksum(DOCUMENT)})
    part = file.with_name("part.json")
    part.write_text(text[: data.draw(st.integers(0, len(text) - 1))])
    try:
        assert read_plan_file(part, 1) is None
    except PlanFileInvalid as error:
        assert "isn't a complete plan" in error.message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(place=st.integers(0, 10_000), letter=st.characters(exclude_categories=["Cs"]))
def test_a_modified_plan_is_rejected(file: Path, place: int, letter: str) -> None:
    text = json.dumps({**DOCUMENT, "checksum": checksum(DOCUMENT)}, ensure_ascii=False)
    place %= len(text)
    other = file.with_name("other.json")
    other.write_text(text[:place] + letter + text[place + 1 :], encoding="utf-8")
    try:
        read = read_plan_file(other, 1)
    except PlanFileInvalid:
        return
    assert read is None or read == json.loads(text)


def test_symlinks_are_kept(file: Path) -> None:
    link = file.with_name("link.json")
    link.symlink_to("plan.json")
    write_plan_file(link, {**DOCUMENT, "environment": "live"})
    assert link.is_symlink()
    read = read_plan_file(file, 1)
    assert read is not None
    assert read["environment"] == "live"


@pytest.mark.parametrize("content", ["version: 1\n", '{"version": 1}', "[1]", "{ not json", "\x00"])
def test_other_files_are_neither_read_nor_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    assert read_plan_file(path, 1) is None
    with pytest.raises(FileExists, match="isn't a saved plan"):
        refuse_overwriting(path)
    assert path.read_text() == content


def test_folders_and_broken_links_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    for path in (tmp_path, tmp_path / "link"):
        with pytest.raises(FileExists):
            write_plan_file(path, DOCUMENT)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("path", ["nowhere/plan.json", "x" * 300, "a\0b"])
def test_write_errors_are_reported(tmp_path: Path, path: str) -> None:
    with pytest.raises(WriteFailed):
        write_plan_file(tmp_path / path, DOCUMENT)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_must_conform_to_the_schema(file: Path) -> None:
    wrong = {**DOCUMENT, "changes": [{"kind": "static"}]}
    file.write_text(json.dumps({**wrong, "checksum": checksum(wrong)}))
    with pytest.raises(PlanFileInvalid, match="format of a saved plan"):
        read_plan_file(file, 1)


def test_the_schema_describes_every_kind_and_every_field_of_changes() -> None:
    described = read_schema("plan.schema.json")["$defs"]["change"]["properties"]
    names = {field.name for change in get_args(Change) for field in fields(change)}
    assert names - described.keys() == set()
    assert set(described["kind"]["enum"]) == BY_NAME.keys() == {change.kind for change in get_args(Change)}
