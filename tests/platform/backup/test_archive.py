"""The backup's file format: it comes back as it was, and no changed byte stays unnoticed."""

import random

import pytest

from mosaic_deploy.platform.daemon.archive import ArchiveDamaged, extract_archive, write_archive


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    (folder / "empty folder").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"hello\n")
    (folder / "zeros").write_bytes(bytes(3000))
    (folder / "noise").write_bytes(random.Random(1).randbytes(2000))
    return folder


def files_below(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_a_tree_comes_back_as_it_was(tree, tmp_path) -> None:
    write_archive(tmp_path / "backup.tgz", {"format": 1}, {"store": tree})
    extract_archive(tmp_path / "backup.tgz", {"store": tmp_path / "restored"})
    assert files_below(tmp_path / "restored") == files_below(tree)


def test_a_changed_byte_is_found_or_changes_nothing(tree, tmp_path) -> None:
    """Some bits change nothing: gzip's header has a time, and a run of zeros can be copied from several places."""
    write_archive(tmp_path / "backup.tgz", {"format": 1}, {"store": tree})
    content = (tmp_path / "backup.tgz").read_bytes()
    damaged, expected, found = tmp_path / "damaged.tgz", files_below(tree), 0
    for at in range(len(content)):
        damaged.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        restored = tmp_path / f"restored {at}"
        try:
            extract_archive(damaged, {"store": restored})
        except ArchiveDamaged:
            found += 1
        else:
            assert files_below(restored) == expected, f"byte {at}"
    assert found > len(content) / 2
