"""Unusual files, and files that change during a deploy, on the real platform."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from mosaic_deploy.errors import SourceChanged
from mosaic_deploy.model.event import ApplyFailed
from tests.deploy.conftest import Site

ODD = [
    "sub/folder/a.txt",
    "with space.txt",
    " leading.txt",
    "quote'and\"quote.txt",
    "100%.txt",
    "%41.txt",
    "a#b.txt",
    "a?b=c&d.txt",
    "a+b;c,d@e!f$g.txt",
    "(a)[b]{c}~`^|<d>*.txt",
    "-rf.txt",
    "a..b.txt",
    "...txt/a.txt",
    "žluťoučký/🎉.txt",
    "e\u0301.txt",
    "Case.txt",
    "case.txt",
    "dot./a.txt",
    "empty.txt",
    "x" * 240 + ".txt",
]


@pytest.mark.parametrize("section", ["static", "storage"])
def test_unusual_names_are_stored_exactly(site: Site, section: str) -> None:
    contents = {name: f"this is {name}".encode() if name != "empty.txt" else b"" for name in ODD}
    for name, content in contents.items():
        site.write(f"public/{name}", content)
    site.manifest(**{section: {"dir": "public", "include": ["*", "...txt/"]}})
    site.apply()
    before = "/storage/" if section == "storage" else "/"
    for name, content in contents.items():
        answer = site.get(before + quote(name))
        assert (name, answer.status_code, answer.content) == (name, 200, content)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


MB = 1024 * 1024


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def edited(path: Path) -> None:
    """The same size, and the old modification time."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    other = path.with_name("other.tmp")
    other.write_bytes(b"!" * path.stat().st_size)
    other.replace(path)


EDITS = [truncated, appended, edited, replaced, Path.unlink]


@pytest.mark.parametrize("section", ["static", "storage"])
@pytest.mark.parametrize("edit", EDITS)
def test_a_file_changed_after_the_plan_is_not_sent(
    site: Site, section: str, edit: Callable[[Path], None]
) -> None:
    path = site.write("public/a.txt", b"old " * MB)
    site.manifest(**{section: {"dir": "public"}})
    site.apply()
    path.write_bytes(b"new " * MB)
    planned = site.plan()
    edit(path)
    last = site.run(planned)[-1]
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, SourceChanged)
    assert str(last.error.location) == "public/a.txt"
    assert live(site, section) == b"old " * MB
    if path.exists():
        site.apply()
        assert live(site, section) == path.read_bytes()


class Meddling(httpx.HTTPTransport):
    """Calls `meddle` once, after the first chunk of an upload."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__()
        self.meddle: Callable[[], None] | None = meddle

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT" and self.meddle:
            request.stream = _Stream(self._pieces(request.stream))
        return super().handle_request(request)

    def _pieces(self, stream) -> Iterator[bytes]:
        for piece in stream:
            yield piece
            if self.meddle:
                meddle, self.meddle = self.meddle, None
                meddle()


class _Stream(httpx.SyncByteStream):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces


@pytest.mark.parametrize("edit", [truncated, appended, edited])
def test_a_storage_file_that_changes_during_the_upload_never_becomes_live(
    site: Site, api_over, edit: Callable[[Path], None]
) -> None:
    path = site.write("public/a.txt", b"old " * MB)
    site.manifest(storage={"dir": "public"})
    site.apply()
    path.write_bytes(b"new " * MB)
    meddling = Meddling(lambda: edit(path))
    last = site.run(api=api_over(meddling))[-1]
    assert meddling.meddle is None
    assert isinstance(last, ApplyFailed)
    assert isinstance(last.error, SourceChanged)
    assert live(site, "storage") == b"old " * MB
    rows = site.sql("SELECT state, size FROM mosaic_deploy.objects WHERE path = 'a.txt'")
    assert [row["state"] for row in rows] == ["pending"]
    site.apply()
    assert live(site, "storage") == path.read_bytes()


@pytest.mark.parametrize("edit", [replaced, Path.unlink])
def test_a_replaced_storage_file_is_sent_as_planned(
    site: Site, api_over, edit: Callable[[Path], None]
) -> None:
    """What was opened is still whole: the planned bytes go live, and the next plan sees what is there now."""
    path = site.write("public/a.txt", b"new " * MB)
    site.manifest(storage={"dir": "public"})
    meddling = Meddling(lambda: edit(path))
    site.run(api=api_over(meddling))
    assert meddling.meddle is None
    assert live(site, "storage") == b"new " * MB
    if path.exists():
        assert [change.path for change in site.plan().plan.changes] == ["a.txt"]
        site.apply()
        assert live(site, "storage") == path.read_bytes()


def live(site: Site, section: str) -> bytes:
    return site.get("/storage/a.txt" if section == "storage" else "/a.txt").content


def test_the_plan_notes_problematic_names(site: Site) -> None:
    site.write("public/A.txt", "a")
    site.write("public/a.txt", "b")
    site.manifest(static={"dir": "public"})
    assert [note.code for note in site.plan().plan.notes] == ["names_alike"]
