"""Which files are a build's inputs, and what of them is watched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mosaic_deploy.source.builds.inputs import find_inputs
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.watch import watched_paths

FILES = (
    ".git/HEAD", ".gitignore", ".env", ".env.local", ".eslintrc", "package.json", "mosaic.yaml", "src/a.ts",
    "src/deep/b.md", "src/c.log", "node_modules/x/index.js", "packages/ui/node_modules/y.js", "packages/ui/u.ts",
    "dist/index.html", "sql/1_t.sql", "assets/big.bin", "cache/x", "generated/kept.json", "logs/keep.log",
)  # fmt: skip
MANIFEST = (
    "version: 1\nbuild: {command: make, output: dist%s}\nstatic: {}\nstorage: {dir: assets}\n"
    "database: {migrations: sql}\n"
)
ALL = {
    ".gitignore", ".env", ".env.local", ".eslintrc", "package.json", "src/a.ts", "src/deep/b.md", "packages/ui/u.ts",
    "logs/keep.log",
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".env").write_text("A=1")
    (tmp_path / ".gitignore").write_text("*.log\n/cache/\n.env*\ngenerated/\n!logs/keep.log\n\\\n")
    return tmp_path


def inputs(root: Path, more: str = "") -> set[str]:
    (root / "mosaic.yaml").write_text(MANIFEST % more)
    manifest = read_manifest(root, environ={})
    assert manifest.build is not None
    base = root.parent
    return {str(Path(file.path).relative_to(base)) for file in find_inputs(manifest, manifest.build).files}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", ALL),
        (", dir: src", {"src/a.ts", "src/deep/b.md"}),
        (", inputs: [src]", {"src/a.ts", "src/deep/b.md"}),
        (", inputs: [src/*.ts, package.json]", {"src/a.ts", "package.json"}),
        (", inputs: ['src/**/*.md', '*.json']", {"src/deep/b.md", "package.json"}),
        (", inputs: ['**/*.ts']", {"src/a.ts", "packages/ui/u.ts"}),
        (
            ", inputs: [generated, src/c.log, mosaic.yaml]",
            {"generated/kept.json", "src/c.log", "mosaic.yaml"},
        ),
        (
            ", inputs: [., dist]",
            {*ALL, "mosaic.yaml", "sql/1_t.sql", "assets/big.bin"} - {".env", ".env.local"},
        ),
    ],
)
def test_inputs(root: Path, more: str, expected: set[str]) -> None:
    assert inputs(root, more) == {f"{root.name}/{name}" for name in expected}


def test_what_the_program_itself_writes_to_is_no_input(root: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from mosaic_deploy.source.builds.inputs import find_inputs; "
        "from mosaic_deploy.source.manifest.read import read_manifest; "
        "manifest = read_manifest(Path(), environ={}); "
        "print(*(file.path for file in find_inputs(manifest, manifest.build).files), file=sys.stderr)"
    )
    inputs(root)
    (root / "other.txt").write_text("")
    with (root / "dev.txt").open("wb") as log:
        found = subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    assert "other.txt" in found.stderr
    assert "dev.txt" not in found.stderr


def test_ignore_files_count_up_to_the_repository_and_links_to_folders_arent_followed(tmp_path: Path) -> None:
    for name in (".git/HEAD", "web/src/a.ts", "web/src/a.tmp", "web/b.tmp", "shared/s.ts", "deploy/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("/web/src/*.tmp\n")
    (tmp_path / "web/src/shared").symlink_to("../../shared")
    (tmp_path / "web/src/one.ts").symlink_to("../../shared/s.ts")
    (tmp_path / "web/src/broken").symlink_to("nowhere")
    (tmp_path / "deploy/mosaic.yaml").write_text(
        "version: 1\nbuild: {command: make, dir: ../web, output: ../web/dist}\nstatic: {}\n"
    )
    manifest = read_manifest(tmp_path / "deploy", environ={})
    assert manifest.build is not None
    found = [Path(each.path).relative_to(tmp_path) for each in find_inputs(manifest, manifest.build).files]
    assert [str(path) for path in found] == [
        "web/b.tmp", "web/src/a.ts", "web/src/broken", "web/src/one.ts", "web/src/shared"
    ]  # fmt: skip
    paths = watched_paths(manifest)
    assert paths.folders == ("../web",)
    assert paths.written == ("../web/dist",)


@pytest.mark.parametrize(
    ("more", "folders", "files", "listed"),
    [
        (
            "",
            {"assets", "sql", "logs", "packages", "src"},
            {".env.local", ".eslintrc", ".gitignore", "package.json"},
            (".",),
        ),
        (", inputs: [src, package.json]", {"assets", "sql", "src"}, {"package.json"}, ()),
    ],
)
def test_watched_are_the_inputs_instead_of_the_output(
    root: Path, more: str, folders: set[str], files: set[str], listed: tuple[str, ...]
) -> None:
    (root / "mosaic.yaml").write_text(MANIFEST % more)
    paths = watched_paths(read_manifest(root, environ={}))
    assert set(paths.folders) == folders
    assert {name for name in paths.files if not name.endswith(".mosaicignore")} == files | {
        "mosaic.yaml",
        ".env",
    }
    assert paths.listed == listed
    assert paths.written == ("dist",)
