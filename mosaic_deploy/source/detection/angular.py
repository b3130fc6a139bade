"""The applications of an Angular workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mosaic_deploy.source.detection.packages import Package
from mosaic_deploy.source.detection.script_frameworks import package_build
from mosaic_deploy.source.detection.settings import read_json, table
from mosaic_deploy.source.detection.site import Project, Rank, Site, with_fallback
from mosaic_deploy.source.detection.tree import join

_SETTINGS = "angular.json"
_NAME = re.compile(r"[\w@./-]+")
"""Of applications: it is a word of the build's command."""


def angular_sites(project: Project) -> Iterator[Site]:
    """The applications in each angular.json."""
    for folder, content in project.tree.folders.items():
        package = project.package_of(folder)
        if _SETTINGS not in content.files or package is None:
            continue
        found = read_json(project.tree.read(join(folder, _SETTINGS)))
        applications = {
            name: each
            for name, value in table(found.get("projects")).items()
            if (each := table(value)).get("projectType", "application") == "application"
            and _NAME.fullmatch(name)
        }
        for name, each in applications.items():
            if site := _site(project, package, folder, name, each, alone=len(applications) == 1):
                yield site


def _site(
    project: Project, package: Package, folder: str, name: str, settings: dict[str, Any], *, alone: bool
) -> Site | None:
    target = table(table(settings.get("architect") or settings.get("targets")).get("build"))
    builder, options = str(target.get("builder", "")), table(target.get("options"))
    if not builder:
        return None
    command = package.command(re.compile(r"\bng build\b"), f"ng build {name}") if alone else None
    site = Site(
        folder,
        "Angular" if alone else f"Angular, {name}",
        join(folder, angular_output(name, builder, options)),
        package_build(project, package, command or f"npx ng build {name}"),
        project.rank(folder, Rank.APP),
    )
    if options.get("outputMode") == "server":
        problem = 'needs a server here, and Mosaic serves files only: set outputMode: "static"'
        return replace(site, problem=problem)
    return with_fallback(project, site, package)


def angular_output(name: str, builder: str, options: dict[str, Any]) -> str:
    """Since the builder `application`, pages are in the folder `browser` of the output."""
    stated = options.get("outputPath")
    base = table(stated).get("base") if isinstance(stated, dict) else stated
    browser = table(stated).get("browser", "browser")
    path = str(base or f"dist/{name}")
    return f"{path}/{browser}".rstrip("/") if builder.endswith(":application") else path
