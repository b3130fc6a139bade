"""Which files are deployed: tests/cases/files holds a tree, a selection, and what is found or refused of it.

A tree maps names to contents; `-> target` makes a link, `|` a fifo, a name ending in `/` an empty folder.
"""

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from mosaic_deploy.errors import SourceChanged, SourceRefused, SourceUnreadable
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files.folder import SERVED_SUFFIXES, read_files, refuse_unserved
from mosaic_deploy.source.files.gitignore import FileSelection
from mosaic_deploy.source.files.ignored import IGNORE_FILE
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.stat_cache import StatCache
from mosaic_deploy.source.files.walk import ALWAYS_LEFT_OUT, Walk

CASES = sorted((Path(__file__).parents[2] / "cases" / "files").glob("*.json"))


def plant(root: Path, tree: dict[str, str]) -> None:
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif content == "|":
            os.mkfifo(path)
        elif content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
        else:
            path.write_text(content)


def outcome(root: Path, case: dict[str, Any]) -> dict[str, Any]:
    """What is found or refused; secrets, notes, ignored and hidden names where there are any."""
    chosen = {
        key: tuple(value) if isinstance(value, list) else value for key, value in case["selection"].items()
    }
    try:
        files = read_files(root, FileSelection(**{"dir": "public", **chosen}))
    except SourceRefused as error:
        return {"problems": [str(problem) for problem in error.problems]}
    told = {
        "found": [f"{name} < {file.relative_path}" for name, file in files.found.items()],
        "secrets": [str(problem) for problem in files.secrets],
        "notes": [
            f"{note.code} {note.message}" for note in files.notes("static") if note.code != "files_left_out"
        ],
        "ignored": files.ignored,
        "hidden": files.hidden,
    }
    return {key: value for key, value in told.items() if value or key == "found"}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_selection(path: Path, tmp_path: Path) -> None:
    case = json.loads(path.read_text())
    root = tmp_path / "project"
    plant(root, {"public/": "", **case["tree"]})
    if any(root / name not in (root / name).parent.iterdir() for name in case["tree"]):
        pytest.skip("this file system doesn't tell the names of the tree apart")
    expected = {key: value for key, value in case.items() if key not in ("tree", "selection")}
    assert outcome(root, case) == expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 10


def public(tmp_path: Path, **tree: str) -> dict[str, LocalFile]:
    plant(tmp_path, {f"public/{name}": content for name, content in tree.items()})
    return read_files(tmp_path, FileSelection("public")).found


def test_files_are_hashed(tmp_path: Path) -> None:
    content = "é" * 1_500_000
    [file] = public(tmp_path, **{"big.txt": content}).values()
    assert file.object == Object("big.txt", hashlib.sha256(content.encode()).hexdigest(), 3_000_000)
    assert file.source == tmp_path / "public" / "big.txt"


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    assert public(tmp_path, a="")["a"].object == Object("a", hashlib.sha256(b"").hexdigest(), 0)


def test_files_come_in_order_of_name(tmp_path: Path) -> None:
    found = public(tmp_path, **{"b.css": "", "a/z.css": "", "a.css": "", "Z.css": "", "é.css": ""})
    assert list(found) == sorted(found)


@pytest.mark.parametrize("name", sorted(ALWAYS_LEFT_OUT - {IGNORE_FILE}))
def test_some_names_are_never_deployed_even_when_named(tmp_path: Path, name: str) -> None:
    plant(tmp_path, {f"public/{name}": "x", "public/sub/a.css": "", f"public/sub/{name}/inside": "x"})
    selection = FileSelection("public", include=(name, "sub/", "*"))
    assert list(read_files(tmp_path, selection).found) == ["sub/a.css"]


def test_a_name_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "public") + b"/caf\xe9.css")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(SourceRefused) as caught:
        read_files(tmp_path, FileSelection("public"))
    [problem] = caught.value.problems
    assert str(problem) == "public/caf?.css: a name that isn't valid UTF-8"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="public can't be read: No such file or directory"):
        read_files(tmp_path, FileSelection("public"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", ["a.css", "sub"])
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    plant(tmp_path, {"public/a.css": "", "public/sub/b.css": ""})
    (tmp_path / "public" / name).chmod(0)
    try:
        with pytest.raises(SourceUnreadable, match=f"public/{name} can't be read: Permission denied"):
            read_files(tmp_path, FileSelection("public"))
    finally:
        (tmp_path / "public" / name).chmod(0o700)


def test_what_hosting_does_not_serve_is_named_at_once(tmp_path: Path) -> None:
    found = public(tmp_path, **{"a.woff2": "", "b.MAP": "", "LICENSE": "", "c.CSS": "", "d.html": ""})
    with pytest.raises(SourceRefused) as caught:
        refuse_unserved(found)
    assert [str(problem) for problem in caught.value.problems] == [
        "public/LICENSE: static hosting doesn't serve files without a suffix",
        "public/a.woff2: static hosting doesn't serve .woff2",
        "public/b.MAP: static hosting doesn't serve .MAP",
    ]
    assert "static.exclude" in (caught.value.hint or "")


def test_everything_the_guide_lists_is_served(tmp_path: Path) -> None:
    guide = ".html .css .js .json .txt .svg .png .jpg .jpeg .gif .ico .webp"
    assert set(guide.split()) == SERVED_SUFFIXES
    refuse_unserved(public(tmp_path, **{f"a{suffix}": "" for suffix in SERVED_SUFFIXES}))


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "public").mkdir()
    monkeypatch.chdir(tmp_path / "public")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("s")
        with pytest.raises(SourceRefused) as caught:
            read_files(tmp_path, FileSelection("public"))
    assert [str(problem) for problem in caught.value.problems] == [
        "public/s: neither a file nor a folder; leave it out with exclude"
    ]


def test_a_folder_that_vanishes_meanwhile_is_told_as_that(tmp_path: Path) -> None:
    plant(tmp_path, {"public/a": "", "public/sub/b": ""})
    files = Walk(tmp_path, FileSelection("public")).files()
    assert next(files).name == "a"
    shutil.rmtree(tmp_path / "public/sub")
    with pytest.raises(SourceChanged, match="public/sub vanished while the files were read"):
        list(files)


def test_a_folder_that_becomes_a_file_meanwhile_is_told_as_that(tmp_path: Path) -> None:
    plant(tmp_path, {"public/a": "", "public/sub/b": ""})
    files = Walk(tmp_path, FileSelection("public")).files()
    next(files)
    shutil.rmtree(tmp_path / "public/sub")
    (tmp_path / "public/sub").touch()
    with pytest.raises(SourceChanged, match="public/sub vanished"):
        list(files)


def test_a_file_that_vanishes_meanwhile_is_told_as_that(tmp_path: Path) -> None:
    class Late(StatCache):
        def find(self, name: str, status: os.stat_result) -> None:
            (tmp_path / name).unlink()

    plant(tmp_path, {"public/a": "x"})
    with pytest.raises(SourceChanged, match="public/a vanished while the files were read"):
        read_files(tmp_path, FileSelection("public"), Late(None))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_everything_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    plant(tmp_path, {"public/a": "", "public/b": "", "public/c": ""})
    for name in "ab":
        (tmp_path / "public" / name).chmod(0)
    with pytest.raises(SourceUnreadable) as caught:
        read_files(tmp_path, FileSelection("public"))
    assert [str(problem) for problem in caught.value.problems] == [
        "public/a: can't be read: Permission denied",
        "public/b: can't be read: Permission denied",
    ]


def test_names_that_were_left_out_are_counted_in_one_line(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "public/index.html": "",
            "public/.env": "",
            "public/.well-known/a.json": "",
            "public/.well-known/b.json": "",
            "public/.DS_Store": "",
            "public/.secret.json": "",
            "public/draft.html": "",
            "public/.mosaicignore": "draft.html\n",
        },
    )
    files = read_files(tmp_path, FileSelection("public", exclude=(".secret.json",)))
    [note] = files.notes("static")
    assert (
        note.message
        == "static: 1 left out by .mosaicignore, 2 left out for a dot at the beginning of the name"
    )
    [note] = files.notes("storage")
    assert note.message.startswith("storage: ")
    assert not list(
        read_files(tmp_path, FileSelection("public", ("*.html",), ("draft.html",))).notes("static")
    )
