"""Reading a file for upload yields the planned content, or raises SourceChanged before the last chunk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mosaic_deploy.errors import SourceChanged
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files.local_file import LocalFile, open_regular, read_unchanged, unchanged_chunks

SIZE = 1000


def planned(tmp_path: Path, content: bytes) -> LocalFile:
    (tmp_path / "a").write_bytes(content)
    return LocalFile(Object("p/a", hashlib.sha256(content).hexdigest(), len(content)), tmp_path, "a")


@pytest.mark.parametrize("size", [0, 1, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE])
def test_chunks_are_the_file(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    chunks = list(unchanged_chunks(planned(tmp_path, content), SIZE))
    assert b"".join(chunks) == content
    assert all(0 < len(chunk) <= SIZE for chunk in chunks)


@pytest.mark.parametrize("content", [b"", b"content", b"x" * 3_000_000])
def test_unchanged_files_are_read(tmp_path: Path, content: bytes) -> None:
    assert read_unchanged(planned(tmp_path, content)) == content


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"y" * path.stat().st_size)
    other.replace(path)


def became_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def became_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def lost_its_end(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def grew(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def grew_much(path: Path) -> None:
    os.truncate(path, 1 << 40)


def was_edited_at_its_end(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"y")


EDITS: list[Callable[[Path], None]] = [
    replaced,
    became_a_fifo,
    became_a_folder,
    lost_its_end,
    grew,
    grew_much,
    was_edited_at_its_end,
    Path.unlink,
]


@pytest.mark.parametrize("edit", EDITS)
def test_a_file_that_changed_before_upload(tmp_path: Path, edit: Callable[[Path], None]) -> None:
    file = planned(tmp_path, b"x" * 3 * SIZE)
    edit(file.source)
    with pytest.raises(SourceChanged, match="a changed on disk after the plan was made") as caught:
        read_unchanged(file)
    assert str(caught.value.location) == "a"
    arrived = b""
    with pytest.raises(SourceChanged):
        for chunk in unchanged_chunks(file, SIZE):
            arrived += chunk
    assert len(arrived) < 3 * SIZE


@pytest.mark.parametrize("edit", [lost_its_end, grew, grew_much, was_edited_at_its_end])
@pytest.mark.parametrize("after", [1, 2])
def test_a_file_that_changes_during_upload_is_never_sent_completely(
    tmp_path: Path, edit: Callable[[Path], None], after: int
) -> None:
    file = planned(tmp_path, b"x" * 4 * SIZE)
    arrived: list[bytes] = []
    with pytest.raises(SourceChanged):
        for chunk in unchanged_chunks(file, SIZE):
            arrived.append(chunk)
            if len(arrived) == after:
                edit(file.source)
    assert len(b"".join(arrived)) < 4 * SIZE


@pytest.mark.parametrize("edit", [replaced, Path.unlink])
def test_a_replaced_file_is_sent_with_its_old_content(tmp_path: Path, edit: Callable[[Path], None]) -> None:
    """The open file still has the planned content."""
    file = planned(tmp_path, b"x" * 4 * SIZE)
    chunks = unchanged_chunks(file, SIZE)
    arrived = next(chunks)
    edit(file.source)
    assert arrived + b"".join(chunks) == b"x" * 4 * SIZE


def test_an_edit_of_an_already_sent_part_has_no_effect(tmp_path: Path) -> None:
    file = planned(tmp_path, b"x" * 4 * SIZE)
    chunks = unchanged_chunks(file, SIZE)
    arrived = next(chunks)
    with file.source.open("r+b") as opened:
        opened.write(b"y")
    assert arrived + b"".join(chunks) == b"x" * 4 * SIZE


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_special_files_are_not_opened_and_do_not_block(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a")
    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        open_regular(tmp_path / "a")
