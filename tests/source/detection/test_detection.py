"""What is found in folders: tests/cases/detection/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mosaic_deploy.errors import SourceUnreadable
from mosaic_deploy.source.detection.project import Detected, detect_project
from mosaic_deploy.source.detection.tree import read_tree

FOLDER = Path(__file__).parents[2] / "cases/detection"
SITES: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "sites.yaml").read_text())
MIGRATIONS: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "migrations.yaml").read_text())


def detect(root: Path, files: Any) -> Detected:
    for name, text in files.items() if isinstance(files, dict) else ((name, "") for name in files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return detect_project(root)


@pytest.mark.parametrize("name", SITES)
def test_sites(name: str, tmp_path: Path) -> None:
    case = SITES[name]
    found = detect(tmp_path, case["files"])
    titles = [site.title for site in found.site_choices]
    if "site" not in case:
        blocked = [f"{site.title} {site.problem}" for site in found.sites if site.problem]
        assert titles == case.get("sites", [])
        assert case.get("sites") or blocked == ([case["blocked"]] if "blocked" in case else [])
        assert [package.folder for package in found.builds] == (
            [case["unknown_build"]] if "unknown_build" in case else []
        )
        return
    wanted = case["site"]
    site = found.site_choices[0]
    assert (site.title, site.dir) == (wanted["title"], wanted["dir"])
    command, folder = wanted.get("build"), "."
    if isinstance(command, list):
        command, folder = command
    assert (site.build and (site.build.command, site.build.dir)) == (command and (command, folder))
    assert list(site.build.inputs if site.build else ()) == wanted.get("inputs", [])
    assert site.fallback == wanted.get("fallback")
    assert wanted.get("clean_urls", site.framework in ("Next.js", "SvelteKit")) == site.clean_urls
    assert "notes" not in wanted or list(site.notes) == wanted["notes"]
    assert len(titles) == 1


@pytest.mark.parametrize("name", MIGRATIONS)
def test_migrations(name: str, tmp_path: Path) -> None:
    case = MIGRATIONS[name]
    found = detect(tmp_path, case["files"])
    assert [each.path for each in found.migration_choices] == case.get("choices", [])
    problems = [f"{each.path}: {each.problem}" for each in found.migrations.folders if each.problem]
    assert problems == case.get("problems", [])
    assert list(found.migrations.programs) == case.get("programs", [])
    assert not case.get("schemas") or list(found.migrations.schemas) == case["schemas"]
    storage = [found.storage.dir, *found.storage.exclude] if found.storage else []
    assert storage == case.get("storage", [])


def test_the_number_of_names_is_limited(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for number in range(5):
            (tmp_path / folder / f"{number}.txt").touch()
    assert set(read_tree(tmp_path, limit=8).folders) == {".", "a"}
    assert not read_tree(tmp_path, limit=8).complete
    assert read_tree(tmp_path, limit=12).complete


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/loop").symlink_to(tmp_path)
    (tmp_path / "real/index.html").symlink_to("nowhere")
    assert detect_project(tmp_path).sites == ()


def test_names_with_line_breaks_are_left_out(tmp_path: Path) -> None:
    """They would add lines to the manifest's comments."""
    (tmp_path / "dist\nstorage:").mkdir()
    (tmp_path / "dist\nstorage:/index.html").touch()
    angular = {"projects": {"a; rm x\n": {"architect": {"build": {"builder": "x:application"}}}}}
    assert detect(tmp_path, {"package.json": {"name": "x"}, "angular.json": angular}).sites == ()


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable):
        detect_project(tmp_path / "missing")
