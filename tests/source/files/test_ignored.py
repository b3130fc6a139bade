"""`.mosaicignore` excludes the same files as git with the same patterns, compared with git itself."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_deploy.source.files.folder import read_files
from mosaic_deploy.source.files.gitignore import FileSelection, pattern_mistake

GIT = shutil.which("git")
NAMES = (
    "a.js",
    "b.map",
    "a b.js",
    "sub/a.js",
    "sub/b.map",
    "sub/deep/a.js",
    "sub/deep/x",
    "x/sub/a.js",
    "x/x",
)
PARTS = st.sampled_from(
    ["*", "**", "a.js", "b.map", "*.js", "sub", "deep", "x", "?.js", "[ab].*", "a\\ b.js", "s*"]
)
LINES = st.builds(
    lambda back, root, parts, end: back + root + "/".join(parts) + end,
    st.sampled_from(["", "!"]),
    st.sampled_from(["", "", "/"]),
    st.one_of(PARTS.map(lambda part: [part]), st.lists(PARTS, min_size=2, max_size=3)),
    st.sampled_from(["", "", "/", " ", "\r"]),
)
WIDE = st.sampled_from([[], ["*"], ["*", "!*/"], ["/*"]])
FILES = st.dictionaries(
    st.sampled_from(["", "sub/", "sub/deep/", "x/"]),
    st.builds(list.__add__, WIDE, st.lists(LINES, max_size=5)),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository, used with all work trees."""
    folder = tmp_path_factory.mktemp("repository")
    if GIT is not None:
        subprocess.run([GIT, "init", "-q", "--bare", str(folder)], check=True)
    return folder


@pytest.mark.skipif(GIT is None, reason="git isn't installed")
@settings(max_examples=150, deadline=None)
@given(FILES)
def test_the_same_files_as_in_git(repository: Path, ignores: dict[str, list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        public = Path(folder) / "public"
        for name in NAMES:
            (public / name).parent.mkdir(parents=True, exist_ok=True)
            (public / name).touch()
        for where, lines in ignores.items():
            text = "\n".join(line for line in lines if pattern_mistake(line.removesuffix("\r")) is None)
            (public / where / ".mosaicignore").write_text(text, newline="")
        assert set(read_files(Path(folder), FileSelection("public")).found) == listed_by_git(
            repository, public
        )


def listed_by_git(repository: Path, folder: Path) -> set[str]:
    where = [f"--git-dir={repository}", f"--work-tree={folder}", "-C", str(folder)]
    git = [str(GIT), "-c", "core.excludesFile=/dev/null", *where]
    listing = [*git, "ls-files", "-z", "--others", "--exclude-per-directory=.mosaicignore"]
    listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and not name.endswith(".mosaicignore")}


@pytest.mark.parametrize(
    "line", ["", "  ", "# comment", "a", "!a", "/a/", "\\!a", "\\#a", "a b", "*", "**", "a/**/b"]
)
def test_valid_lines(line: str) -> None:
    assert pattern_mistake(line) is None


@pytest.mark.parametrize("line", ["!", "/", "!/", "//", "[a", "[z-a]", "a\\", "[[:digit:]]"])
def test_invalid_lines(line: str) -> None:
    assert pattern_mistake(line)
