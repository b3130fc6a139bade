"""The layout stays readable: small folders and files, no import circles, a docstring per room, and a picture that is true."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.docs_markdown import ROOT, read

PACKAGE = ROOT / "mosaic_deploy"
ARCHITECTURE = read(ROOT / "docs" / "architecture.md")
MAX_LINES = 300
MAX_MODULES = 15
SMALL = 40

Graph = dict[str, set[str]]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
ROOMS = sorted({path.parent for path in FILES.values()})


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports when it runs: also inside functions, not for annotations only."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(read(path))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in FILES else node.module)
        waiting.extend(ast.iter_child_nodes(node))
    return {name for name in found if name in FILES} - {module_name(path)}


@functools.cache
def all_imports() -> Graph:
    return {name: imports(path) for name, path in FILES.items()}


def room_graph(container: str) -> Graph:
    """Imports between the direct children of a package."""
    depth = container.count(".") + 2

    def child(module: str) -> str:
        return ".".join(module.split(".")[:depth]) if module.startswith(f"{container}.") else ""

    graph: Graph = defaultdict(set)
    for module, imported in all_imports().items():
        if here := child(module):
            graph[here] |= {child(each) for each in imported} - {here, ""}
    return graph


def cycle(graph: Graph) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def reduced(graph: Graph) -> set[tuple[str, str]]:
    """The edges that aren't implied by longer paths."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph.get(start, ()))
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting.extend(graph.get(node, ()))
        return seen

    edges = {(a, b) for a, imported in graph.items() for b in imported}
    return {(a, b) for a, b in edges if not any(b in reachable(c) for c in graph[a] - {b})}


def test_no_file_is_too_long() -> None:
    lengths = {name: len(read(path).splitlines()) for name, path in FILES.items()}
    assert {name: count for name, count in lengths.items() if count > MAX_LINES} == {}


def test_no_folder_is_crowded() -> None:
    counts = {str(room): len([*room.glob("*.py")]) - 1 for room in ROOMS}
    assert {room: count for room, count in counts.items() if count > MAX_MODULES} == {}


def test_no_small_module_serves_a_single_other() -> None:
    """It belongs into the module that it serves."""
    readers: Graph = defaultdict(set)
    for module, imported in all_imports().items():
        for each in imported:
            readers[each].add(module)
    small = [
        name
        for name, path in FILES.items()
        if path.name != "__init__.py" and len(read(path).splitlines()) < SMALL and len(readers[name]) == 1
    ]
    assert small == []


def test_no_module_imports_itself_in_a_circle() -> None:
    assert cycle(all_imports()) == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: module_name(room / "__init__.py"))
def test_no_rooms_import_each_other(room: Path) -> None:
    assert cycle(room_graph(module_name(room / "__init__.py"))) == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: module_name(room / "__init__.py"))
def test_every_room_says_what_lives_in_it(room: Path) -> None:
    text = ast.get_docstring(ast.parse(read(room / "__init__.py"))) or ""
    assert len(re.findall(r"[.?!:](?:\s|$)", text)) >= 2, (
        "two or three sentences: what, imports, where to begin"
    )


def test_the_picture_matches_the_imports() -> None:
    """The arrows of docs/architecture.md are the imports between the top rooms, without those that others imply."""
    [picture] = re.findall(r"```mermaid\n(.*?)```", ARCHITECTURE, re.DOTALL)
    drawn = {(a, b) for a, b in re.findall(r"^ *(\w+) --> (\w+)$", picture, re.MULTILINE)}
    graph = room_graph("mosaic_deploy")
    rooms = {f"mosaic_deploy.{room.name}" for room in ROOMS if room.parent == PACKAGE} | {
        "mosaic_deploy.watch"
    }
    between = {a: {b for b in imported if b in rooms} for a, imported in graph.items() if a in rooms}
    names = {(a.rpartition(".")[2], b.rpartition(".")[2]) for a, b in reduced(between)}
    assert drawn == names


def test_architecture_md_lists_every_room_and_nothing_else() -> None:
    listed = set(re.findall(r"^\| `((?:\w+/)+)` \|", ARCHITECTURE, re.MULTILINE))
    rooms = {f"{room.relative_to(PACKAGE).as_posix()}/" for room in ROOMS if room != PACKAGE}
    assert listed == rooms


def test_every_file_that_architecture_md_names_exists() -> None:
    named = set(re.findall(r"`((?:\w+/)+\w+\.(?:py|md|json|yaml|sql|html|toml|txt))`", ARCHITECTURE))
    assert named, "it names files"
    missing = [
        name
        for name in named
        if not (PACKAGE / name).exists() and not (ROOT / name).exists() and "/CODE/" not in name
    ]
    assert sorted(missing) == []


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Before 3.11.5, Python matches such groups wrongly (github.com/python/cpython/issues/106052): scans never ended."""
    possessive = re.compile(r"\)[*+?]\+[^=;,'\"]|\)[*+?]\+\"|\(\?>|\)\{[0-9,]+\}\+")
    assert [name for name, path in FILES.items() if possessive.search(read(path))] == []
