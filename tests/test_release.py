"""Releases: version, release notes, install commands, and where the program was installed from."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from mosaic_deploy import installed
from mosaic_deploy.version import __version__

ROOT = Path(__file__).parents[1]
NOTES: Callable[[str, str, str], str] = runpy.run_path(str(ROOT / ".ci/release_notes.py"))["notes"]
CHANGES = "# Changelog\n\n## Unreleased\n\n## 1.2.3 (2026-11-24)\n\n### Added\n\n- New.\n\n## 1.2.2\n\n- Old.\n\n## 1.1.0\n"


@pytest.mark.parametrize(("version", "text"), [("1.2.3", "### Added\n\n- New.\n"), ("1.2.2", "- Old.\n")])
def test_release_notes_are_the_changelog_section(version: str, text: str) -> None:
    assert NOTES(f"v{version}", version, CHANGES) == text


@pytest.mark.parametrize(
    ("tag", "version", "message"),
    [
        ("v1.2.4", "1.2.3", "they must match"),
        ("1.2.3", "1.2.3", "they must match"),
        ("v1.2", "1.2", "has no section `## 1.2`"),
        ("v1.2.30", "1.2.30", "has no section"),
        ("v1.1.0", "1.1.0", "is empty"),
    ],
)
def test_a_wrong_tag_is_rejected(tag: str, version: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        NOTES(tag, version, CHANGES)


def test_the_release_workflow_runs_the_script() -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / ".ci/release_notes.py"), "v0.0.0"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("no release: the tag is v0.0.0")
    assert ".ci/release_notes.py" in (ROOT / ".github/workflows/release.yml").read_text()


def test_the_version_is_in_one_place() -> None:
    assert metadata.version("mosaic-deploy") == __version__
    for file in ("pyproject.toml", "README.md", "action.yml"):
        assert __version__ not in (ROOT / file).read_text()


def test_no_text_installs_the_package_by_name() -> None:
    """It isn't on PyPI: a package of that name there would be someone else's."""
    installs = re.compile(
        r"(?:pip install|pipx (?:run|install)|uvx|uv tool (?:run|install))[^\n`]*?\s['\"]?mosaic-deploy\b"
    )
    for file in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        ROOT / "action.yml",
        *ROOT.glob("mosaic_deploy/**/*.py"),
    ]:
        for line in file.read_text().splitlines():
            found = installs.search(line)
            assert not found or re.search(r"--from|--spec|--root|@ git\+", found[0]), f"{file.name}: {line}"


@pytest.fixture
def install_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[object], None]:
    """Writes the metadata that an installer leaves, with this direct_url.json."""
    folder = tmp_path / "mosaic_deploy-1.dist-info"
    folder.mkdir()
    requires = "Requires-Dist: click>=8\nRequires-Dist: b>=1; extra == \"local\"\nRequires-Dist: a[x]; extra == 'local'\n"
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: mosaic-deploy\nVersion: 1\n{requires}")
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(document: object) -> None:
        if document is not None:
            (folder / "direct_url.json").write_text(json.dumps(document))

    return write


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"url": "file:///a", "dir_info": {"editable": True}}, "pip install -e '/a[local]'"),
        ({"url": "file:///a%20b", "dir_info": {}}, "pip install '/a b[local]'"),
        ({"url": "file:///x-1.whl", "archive_info": {}}, "pip install '/x-1.whl[local]'"),
        (
            {"url": "https://h/r", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'mosaic-deploy[local] @ git+https://h/r@abc'",
        ),
        (None, "pip install 'b>=1' 'a[x]'"),
    ],
)
def test_extras_are_installed_from_the_same_origin(install_record, origin: object, command: str) -> None:
    install_record(origin)
    assert installed.install_command("local") == command


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/we/it.git", "we/it"),
        ("https://github.com/we/it", "we/it"),
        ("git@github.com:we/it.git", "we/it"),
        ("ssh://git@github.com/we/it.git", "we/it"),
        ("https://token@github.com/we/it.git", "we/it"),
        ("https://gitlab.com/we/it.git", None),
        ("https://example.com/github.com/we/it", None),
    ],
)
def test_github_reference(install_record, tmp_path: Path, url: str, name: str | None) -> None:
    """A clone's commit is named only if it was pushed."""
    clone, remote = tmp_path / "clone", tmp_path / "remote"

    def git(*arguments: str) -> str:
        words = ["git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    clone.mkdir()
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    git("init", "-q", "--bare", str(remote))
    git("remote", "add", "origin", str(remote))
    git("push", "-q", "origin", "HEAD:main")
    git("fetch", "-q")
    git("remote", "set-url", "origin", url)
    install_record({"url": clone.as_uri(), "dir_info": {"editable": True}})
    assert installed.github_reference() == (f"{name}@{git('rev-parse', 'HEAD')}" if name else None)
    git("commit", "-q", "--allow-empty", "-m", "two")
    assert installed.github_reference() is None
    commit = "1" * 40
    install_record({"url": url, "vcs_info": {"vcs": "git", "commit_id": commit}})
    assert installed.github_reference() == (f"{name}@{commit}" if name else None)
