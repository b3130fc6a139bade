"""The applications of an Nx workspace that have a project.json, and often no package.json of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mosaic_deploy.source.detection.angular import angular_output
from mosaic_deploy.source.detection.packages import Package
from mosaic_deploy.source.detection.script_frameworks import package_build
from mosaic_deploy.source.detection.settings import read_json, script_setting, table
from mosaic_deploy.source.detection.site import Project, Rank, Site, with_fallback
from mosaic_deploy.source.detection.tree import join

_SETTINGS = "project.json"
_WORKSPACE = "nx.json"
_NAME = re.compile(r"[\w@./-]+")
"""Of applications: it is a word of the build's command."""
_EXECUTORS = {
    "vite:build": "Vite",
    "angular": "Angular",
    "build-angular": "Angular",
    "build": "Angular",
    "webpack:webpack": "webpack",
    "rspack:rspack": "Rspack",
    "web:webpack": "webpack",
}
"""What makes a site, by the executor without its owner, or by its package."""


def nx_sites(project: Project) -> Iterator[Site]:
    """The applications with a page and a target `build` that makes a site."""
    for folder, content in project.tree.folders.items():
        package, workspace = project.package_of(folder), _workspace(project, folder)
        if _SETTINGS in content.files and package is not None and workspace is not None:
            settings = read_json(project.tree.read(join(folder, _SETTINGS)))
            if site := _site(project, package, workspace, folder, settings):
                yield site


def _workspace(project: Project, folder: str) -> str | None:
    """The folder with nx.json that `folder` is in."""
    place = folder
    while not project.tree.has(join(place, _WORKSPACE)):
        if place == ".":
            return None
        place = place.rpartition("/")[0] or "."
    return place


def _site(
    project: Project, package: Package, workspace: str, folder: str, settings: dict[str, Any]
) -> Site | None:
    name = str(settings.get("name") or folder.rpartition("/")[2])
    target = table(table(settings.get("targets")).get("build"))
    framework = _framework(target)
    if framework is None or settings.get("projectType") == "library" or not _NAME.fullmatch(name):
        return None
    if not any(project.tree.has(join(folder, page)) for page in ("index.html", "src/index.html")):
        return None
    build = replace(package_build(project, package, package.program(f"nx build {name}")), inputs=())
    output = _output(project, workspace, folder, name, target)
    site = Site(folder, framework, output, build, project.rank(folder, Rank.APP))
    return with_fallback(project, site, package)


def _framework(target: dict[str, Any]) -> str | None:
    """Of `@nx/vite:build`, `@nx/angular:webpack-browser`, `@angular/build:application`."""
    words = str(target.get("executor", "")).rpartition("/")[2]
    return _EXECUTORS.get(words) or _EXECUTORS.get(words.partition(":")[0])


def _output(project: Project, workspace: str, folder: str, name: str, target: dict[str, Any]) -> str:
    """The output. The target's is relative to the workspace, that in Vite's settings to the application."""
    options = table(target.get("options"))
    if _framework(target) == "Angular":
        return join(workspace, angular_output(name, str(target["executor"]), options))
    if isinstance(stated := options.get("outputPath"), str):
        if stated.startswith("{projectRoot}"):
            return join(folder, stated.removeprefix("{projectRoot}/"))
        return join(workspace, stated.removeprefix("{workspaceRoot}/"))
    file = project.tree.find(folder, re.compile(r"vite\.config\.[mc]?[jt]s"))
    return join(folder, script_setting(project.tree.read(file), "outDir") or "dist")
