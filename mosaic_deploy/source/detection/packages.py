"""package.json: what a package depends on, and which command builds it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.source.detection.settings import read_json, table
from mosaic_deploy.source.detection.tree import Tree, join
from mosaic_deploy.source.manifest.folders import boundary_of

_DEPENDENCIES = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
LOCK_FILES = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
}
"""The lock files, and the package managers that write them."""
_NOT_BUILDS = re.compile(r"\b(dev|serve|start|preview|watch|test|lint)\b")


@dataclass(frozen=True, slots=True)
class Package:
    """A package.json. `folder` is relative to the project; `manager` runs its scripts."""

    folder: str
    name: str
    dependencies: frozenset[str]
    scripts: Mapping[str, str]
    manager: str

    def command(self, built_by: re.Pattern[str], otherwise: str | None) -> str | None:
        """The command that builds: the script with words that match, else the script `build`, else `otherwise` with npx."""
        matching = [name for name, text in self.scripts.items() if built_by.search(text)]
        builds = [name for name in matching if not _NOT_BUILDS.search(name)]
        whole = self.scripts.get("build", "")
        starts_one = any(re.search(rf"(?<![\w:-]){re.escape(name)}(?![\w:-])", whole) for name in builds)
        name = "build" if "build" in builds or not builds or starts_one else builds[0]
        if name in self.scripts and (builds or otherwise is None or not self._makes_packages()):
            return f"{self.manager} run {name}"
        return self.program(otherwise) if otherwise else None

    def program(self, words: str) -> str:
        """The command that runs a program of the installed packages."""
        runner = {"pnpm": "pnpm exec", "yarn": "yarn run", "bun": "bunx"}.get(self.manager, "npx")
        return f"{runner} {words}"

    def runs(self, words: str) -> bool:
        """Whether a script has words that match the pattern."""
        return any(re.search(words, text) for text in self.scripts.values())

    def script_of(self, command: str) -> str:
        """The text of the script that a command of `command` runs; the command itself if it runs none."""
        return self.scripts.get(command.rpartition(" ")[2], command)

    def _makes_packages(self) -> bool:
        """Whether the script `build` makes a library."""
        return re.search(r"\b(tsup|rollup|tsdown|unbuild|microbundle)\b", self.scripts["build"]) is not None


def read_packages(tree: Tree) -> dict[str, Package]:
    """The packages by folder; files that aren't JSON are left out."""
    found = {}
    for folder, content in tree.folders.items():
        if "package.json" in content.files and (data := read_json(tree.read(join(folder, "package.json")))):
            found[folder] = _package(tree, folder, data)
    return found


def _package(tree: Tree, folder: str, data: Mapping[str, object]) -> Package:
    dependencies = {name for field in _DEPENDENCIES for name in table(data.get(field))}
    scripts = {name: text for name, text in table(data.get("scripts")).items() if isinstance(text, str)}
    return Package(
        folder, str(data.get("name", "")), frozenset(dependencies), scripts, _manager(tree, folder, data)
    )


def _manager(tree: Tree, folder: str, data: Mapping[str, object]) -> str:
    stated = str(data.get("packageManager", "")).partition("@")[0]
    if stated in LOCK_FILES.values():
        return stated
    lock = lock_file(tree.root, folder)
    return LOCK_FILES[lock.name] if lock else "npm"


def lock_file(root: Path, folder: str) -> Path | None:
    """The lock file for the package in `folder`: beside it, or above it in the same git repository."""
    start = (root / folder).resolve()
    top = Path(boundary_of(root))
    for place in (start, *start.parents):
        for name in LOCK_FILES:
            if (place / name).is_file():
                return place / name
        if place == top:
            break
    return None


def needed_packages(packages: Mapping[str, Package], package: Package) -> list[Package]:
    """The packages beside it that it needs, also through others, each after those that it needs itself."""
    by_name = {each.name: each for each in packages.values() if each.name}
    found: list[Package] = []
    seen = {package.folder, "."}

    def add(one: Package) -> None:
        for name in sorted(one.dependencies & by_name.keys()):
            needed = by_name[name]
            if needed.folder not in seen:
                seen.add(needed.folder)
                add(needed)
                found.append(needed)

    add(package)
    return found


def workspace_command(package: Package, needed: Sequence[Package]) -> str | None:
    """The command, for the folder of the lock file, that builds the packages that it needs before it; None if none has a build.

    Without it, the build finds of them only what an earlier one has left.
    """
    built = [each for each in needed if "build" in each.scripts and each.name]
    if not built or not package.name:
        return None
    names = [shlex.quote(each.name) for each in (*built, package)]
    if package.manager == "pnpm":
        return f"pnpm --filter {shlex.quote(f'{package.name}...')} run build"
    forms = {"yarn": "yarn workspace {} run build", "bun": "bun run --filter {} build"}
    form = forms.get(package.manager, "npm run build --workspace={}")
    return " && ".join(form.format(name) for name in names)
