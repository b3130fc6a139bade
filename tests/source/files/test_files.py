"""Selecting and reading files. Each case in tests/cases/files has a tree, a selection, and the expected result.

A tree maps names to contents; `-> target` makes a link, `|` a fifo, a name ending in `/` an empty folder.
"""

import hashlib
import json
import os
import re
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from mosaic_deploy.errors import IgnoreFileInvalid, SourceChanged, SourceRefused, SourceUnreadable
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files.folder import SERVED_SUFFIXES, read_files, refuse_unserved
from mosaic_deploy.source.files.gitignore import FileSelection
from mosaic_deploy.source.files.ignored import IGNORE_FILE
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.stat_cache import StatCache
from mosaic_deploy.source.files.walk import ALWAYS_EXCLUDED, Walk

CASES = sorted((Path(__file__).parents[2] / "cases" / "files").glob("*.json"))


def create_tree(root: Path, tree: dict[str, str]) -> None:
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
    """The files found or the problems, and any secrets, notes, ignored and hidden names."""
    chosen = {
        key: tuple(value) if isinstance(value, list) else value for key, value in case["selection"].items()
    }
    try:
        files = read_files(root, FileSelection(**{"dir": "public", **chosen}))
    except (IgnoreFileInvalid, SourceRefused) as error:
        return {"problems": [str(problem) for problem in error.problems]}
    result = {
        "found": [f"{name} < {file.relative_path}" for name, file in files.found.items()],
        "secrets": [str(problem) for problem in files.secrets],
        "notes": [
            f"{note.code} {note.message}" for note in files.notes("static") if note.code != "files_left_out"
        ],
        "ignored": list(files.ignored),
        "hidden": list(files.hidden),
    }
    return {key: value for key, value in result.items() if value or key == "found"}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_selection(path: Path, tmp_path: Path) -> None:
    case = json.loads(path.read_text())
    root = tmp_path / "project"
    create_tree(root, {"public/": "", **case["tree"]})
    if any(root / name not in (root / name).parent.iterdir() for name in case["tree"]):
        pytest.skip("this file system doesn't distinguish the names in the tree")
    expected = {key: value for key, value in case.items() if key not in ("tree", "selection")}
    assert outcome(root, case) == expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 10


def public(tmp_path: Path, **tree: str) -> dict[str, LocalFile]:
    create_tree(tmp_path, {f"public/{name}": content for name, content in tree.items()})
    return read_files(tmp_path, FileSelection("public")).found


def test_files_are_hashed(tmp_path: Path) -> None:
    content = "é" * 1_500_000
    [file] = public(tmp_path, **{"big.txt": content}).values()
    assert file.object == Object("big.txt", hashlib.sha256(content.encode()).hexdigest(), 3_000_000)
    assert file.source == tmp_path / "public" / "big.txt"


def test_empty_files_are_deployed(tmp_path: Path) -> None:
    assert public(tmp_path, a="")["a"].object == Object("a", hashlib.sha256(b"").hexdigest(), 0)


def test_files_are_sorted_by_name(tmp_path: Path) -> None:
    found = public(tmp_path, **{"b.css": "", "a/z.css": "", "a.css": "", "Z.css": "", "é.css": ""})
    assert list(found) == sorted(found)


@pytest.mark.parametrize("name", sorted(ALWAYS_EXCLUDED - {IGNORE_FILE}))
def test_some_names_are_never_deployed_even_if_included(tmp_path: Path, name: str) -> None:
    create_tree(tmp_path, {f"public/{name}": "x", "public/sub/a.css": "", f"public/sub/{name}/inside": "x"})
    selection = FileSelection("public", include=(name, "sub/", "*"))
    assert list(read_files(tmp_path, selection).found) == ["sub/a.css"]


def test_names_that_are_not_utf8_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "public") + b"/caf\xe9.css")).touch()
    except OSError:
        pytest.skip("this file system accepts only UTF-8 names")
    with pytest.raises(SourceRefused) as caught:
        read_files(tmp_path, FileSelection("public"))
    [problem] = caught.value.problems
    assert str(problem) == "public/caf?.css: the name isn't valid UTF-8"


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="public can't be read: No such file or directory"):
        read_files(tmp_path, FileSelection("public"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", ["a.css", "sub"])
def test_unreadable_files_and_folders_are_reported(tmp_path: Path, name: str) -> None:
    create_tree(tmp_path, {"public/a.css": "", "public/sub/b.css": ""})
    (tmp_path / "public" / name).chmod(0)
    try:
        with pytest.raises(SourceUnreadable, match=f"public/{name} can't be read: Permission denied"):
            read_files(tmp_path, FileSelection("public"))
    finally:
        (tmp_path / "public" / name).chmod(0o700)


def test_unsupported_file_types_are_reported_together(tmp_path: Path) -> None:
    names = ["a.woff2", "z.woff2", "b.MAP", "LICENSE", "x[1]", "c.CSS", "d.html"]
    found = public(tmp_path, **dict.fromkeys(names, ""))
    with pytest.raises(SourceRefused) as caught:
        refuse_unserved(found, ["drafts/"])
    assert [str(problem) for problem in caught.value.problems] == [
        "public/LICENSE: static hosting doesn't serve files without an extension (2 files)",
        "public/a.woff2: static hosting doesn't serve .woff2 files (2 files)",
        "public/b.MAP: static hosting doesn't serve .MAP files",
    ]
    hint = caught.value.hint or ""
    assert "`unsupported: storage`" in hint
    [line] = re.findall(r"`(exclude: .*)`", hint)
    selection = FileSelection("public", exclude=tuple(yaml.safe_load(line)["exclude"]))
    assert set(read_files(tmp_path, selection).found) == {"c.CSS", "d.html"}


def test_file_types_in_the_guide_are_supported(tmp_path: Path) -> None:
    guide = ".html .css .js .json .txt .svg .png .jpg .jpeg .gif .ico .webp"
    assert set(guide.split()) == SERVED_SUFFIXES
    refuse_unserved(public(tmp_path, **{f"a{suffix}": "" for suffix in SERVED_SUFFIXES}))


def test_sockets_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "public").mkdir()
    monkeypatch.chdir(tmp_path / "public")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("s")
        with pytest.raises(SourceRefused) as caught:
            read_files(tmp_path, FileSelection("public"))
    assert [str(problem) for problem in caught.value.problems] == [
        "public/s: neither a file nor a folder; exclude it"
    ]


def test_a_folder_that_disappears_is_reported(tmp_path: Path) -> None:
    create_tree(tmp_path, {"public/a": "", "public/sub/b": ""})
    files = Walk(tmp_path, FileSelection("public")).files()
    assert next(files).name == "a"
    shutil.rmtree(tmp_path / "public/sub")
    with pytest.raises(SourceChanged, match="public/sub disappeared while the files were read"):
        list(files)


def test_a_folder_that_becomes_a_file_is_reported(tmp_path: Path) -> None:
    create_tree(tmp_path, {"public/a": "", "public/sub/b": ""})
    files = Walk(tmp_path, FileSelection("public")).files()
    next(files)
    shutil.rmtree(tmp_path / "public/sub")
    (tmp_path / "public/sub").touch()
    with pytest.raises(SourceChanged, match="public/sub disappeared"):
        list(files)


def test_a_file_that_disappears_is_reported(tmp_path: Path) -> None:
    class DeletingCache(StatCache):
        def find(self, name: str, status: os.stat_result) -> None:
            (tmp_path / name).unlink()

    create_tree(tmp_path, {"public/a": "x"})
    with pytest.raises(SourceChanged, match="public/a disappeared while the files were read"):
        read_files(tmp_path, FileSelection("public"), DeletingCache(None))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_files_are_reported_together(tmp_path: Path) -> None:
    create_tree(tmp_path, {"public/a": "", "public/b": "", "public/c": ""})
    for name in "ab":
        (tmp_path / "public" / name).chmod(0)
    with pytest.raises(SourceUnreadable) as caught:
        read_files(tmp_path, FileSelection("public"))
    assert [str(problem) for problem in caught.value.problems] == [
        "public/a: can't be read: Permission denied",
        "public/b: can't be read: Permission denied",
    ]


def test_excluded_names_are_in_one_note(tmp_path: Path) -> None:
    create_tree(
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
    assert note.message == (
        "static: 1 excluded by .mosaicignore (draft.html), "
        "2 excluded as dotfiles unless static.include names them (.env, .well-known/)"
    )
    [note] = files.notes("storage")
    assert note.message.startswith("storage: ")
    assert not list(
        read_files(tmp_path, FileSelection("public", ("*.html",), ("draft.html",))).notes("static")
    )


def test_many_links_out_of_the_project_are_counted(tmp_path: Path) -> None:
    (tmp_path / "p/www").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    for number in range(60):
        (tmp_path / f"p/www/{number:02}.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(SourceRefused, match=r"; the first 20 of 60$") as refused:
        read_files(tmp_path / "p", FileSelection("www"))
    assert [each.location.file for each in refused.value.problems] == [f"www/{n:02}.txt" for n in range(20)]
