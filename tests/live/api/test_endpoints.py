"""The table of operations, and reading a platform's own listing (tests/cases/endpoints)."""

import ast
import json
from pathlib import Path

import pytest

import mosaic_deploy
from mosaic_deploy.live.api.endpoints import OPERATIONS, bind_operations, normalize_path
from mosaic_deploy.model.manifest import STORAGE_PATH

CASES = sorted((Path(__file__).parents[2] / "cases" / "endpoints").glob("*.json"))
PACKAGE = Path(mosaic_deploy.__file__).parent

TABLE = {
    "discover": ("GET", "", True, False),
    "list projects": ("GET", "/projects", True, False),
    "create project": ("POST", "/projects", True, False),
    "credentials": ("GET", "/{id}/credentials", True, False),
    "run SQL": ("POST", "/{id}/sql", True, False),
    "upload static file": ("POST", "/{id}/files", True, False),
    "list static files": ("GET", "/{id}/files", True, False),
    "delete static file": ("DELETE", "/{id}/files/{filename}", False, True),
    "storage upload URL": ("POST", "/{id}/storage/upload", False, False),
    "list storage": ("GET", "/{id}/storage", False, False),
    "delete stored object": ("DELETE", "/{id}/storage/{filename}", False, True),
    "send magic link": ("POST", "/{id}/auth/magic-link", False, False),
    "verify magic link": ("POST", "/{id}/auth/verify", False, True),
    "read auth settings": ("GET", "/{id}/auth/settings", False, True),
    "write auth settings": ("PUT", "/{id}/auth/settings", False, True),
    "submit ticket": ("POST", "/tickets", False, False),
}


def test_the_table() -> None:
    assert {o.name: (o.method, o.path, o.documented, o.optional) for o in OPERATIONS} == TABLE


def test_operations_that_are_sent_once() -> None:
    once = {o.name for o in OPERATIONS if not o.idempotent}
    assert once == {"create project", "send magic link", "verify magic link", "submit ticket"}


def test_undocumented_operations_have_path_words() -> None:
    assert all(bool(o.path_words) is not o.documented for o in OPERATIONS)


def test_listed_default_paths_are_bound_to_themselves() -> None:
    listing = [{"method": o.method, "path": o.path} for o in OPERATIONS]
    assert bind_operations(listing) == {o.name: o.path for o in OPERATIONS if not o.documented}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_listings(path: Path) -> None:
    case = json.loads(path.read_text())
    assert bind_operations(case["listing"]) == case["bound"]


def test_there_are_cases() -> None:
    assert len(CASES) >= 10


@pytest.mark.parametrize(
    "listing", [None, 3, "", "nothing here", [], {}, [[None]], {"a": 1}, {"path": 3, "method": 4}]
)
def test_any_listing_is_accepted(listing: object) -> None:
    assert bind_operations(listing) == {}


@pytest.mark.parametrize(
    ("listed", "template"),
    [
        ("/v1/project/{project_id}/sql", "/{id}/sql"),
        ("https://api.example/v1/project/{slug}/sql/?x=1", "/{id}/sql"),
        ("/<slug>/s3/<path:filename>", "/{id}/s3/{filename}"),
        ("/:id/files/:name", "/{id}/files/{filename}"),
        ("/[id]/files/[name]", "/{id}/files/{filename}"),
        ("/{project-id}/files/{filename:path}", "/{id}/files/{filename}"),
        ("/{a}/{b}/{c}", "/{id}/{filename}/{other}"),
        ("{id}/storage", "/{id}/storage"),
        ("/v1/project", ""),
    ],
)
def test_listed_paths_become_templates(listed: str, template: str) -> None:
    assert normalize_path(listed) == template


def spelled(source: str) -> list[str]:
    """Text constants (except docstrings) that contain a path of the API; a site's own path isn't one."""
    tree = ast.parse(source)
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    texts = [
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docs
    ]
    fixed = {part for o in OPERATIONS for part in o.path.split("/") if part and "{" not in part}
    return [t for t in texts if t != STORAGE_PATH and any(f"/{part}" in t.split("?")[0] for part in fixed)]


@pytest.mark.parametrize("room", ["live", "deploy", "cli", "source", "diff", "sql", "model"])
def test_only_the_table_contains_paths(room: str) -> None:
    files = [path for path in (PACKAGE / room).rglob("*.py") if path.name != "endpoints.py"]
    found = {path.name: texts for path in files if (texts := spelled(path.read_text()))}
    assert files
    assert not found


def test_a_path_elsewhere_would_be_found() -> None:
    assert sorted(spelled('"""/projects"""\nx = f"{url}/projects"\ny = "/sql"\nz = "/other"')) == [
        "/projects",
        "/sql",
    ]
