"""No field of the manifest shows a value that came from a variable, and credentials don't get into public fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mosaic_deploy.errors import ManifestInvalid, MosaicError
from mosaic_deploy.model.variable_value import VariableValue, hide_values
from mosaic_deploy.schema_files import read_schema
from mosaic_deploy.source.manifest.interpolation import is_public
from mosaic_deploy.source.manifest.read import read_manifest, read_manifest_text
from mosaic_deploy.source.manifest.schema_check import resolve_reference
from mosaic_deploy.source.secrets.variables import is_credential_name, secret_in

SCHEMA: Any = read_schema("mosaic.schema.json")
SECRET = "mk_" + "q7Zx8Kq2Lw9Rt4Yv7Bn3Mc6Pd1Fs5Gh0JkUeWaTiO"
"""A value that the secret rules know."""
PLAIN = "hidden-marker"
"""One that they don't."""
Steps = tuple[str | int, ...]


def _fields(schema: Any, path: Steps = ()) -> Iterator[Steps]:
    """The path of every field that has no fields, with one item of each list and one key of each free map."""
    schema = resolve_reference(schema, SCHEMA)
    for name, child in schema.get("properties", {}).items():
        if path or name not in ("environments", "variables"):
            yield from _fields(child, (*path, name))
    if "items" in schema:
        yield from _fields(schema["items"], (*path, 0))
    free = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    for child in free:
        if isinstance(child, dict):
            yield from _fields(child, (*path, "x-key"))
    if (not (schema.keys() & {"properties", "items", "patternProperties"}) and "x-key" not in path[-1:]) or (
        path and path[-1] == "x-key"
    ):
        yield path


FIELDS = sorted(set(_fields(SCHEMA)), key=str)
HIDDEN = [path for path in FIELDS if not is_public(path)]


def _nested(path: Steps, value: object) -> Any:
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    return value


def _document(path: Steps, value: str) -> str:
    """A manifest with `value` in one field, and what else the field needs."""
    document = {"version": 1, **_nested(path, value)}
    section: Any = document.get(path[0])
    if path[0] in ("static", "storage"):
        section.setdefault("dir", "public")
    elif path[:2] == ("auth", "magic_link"):
        section["magic_link"].setdefault("redirect_url", "/")
    elif path[:2] in (("verify", "http"), ("verify", "sql")):
        check = section[path[1]][0]
        check.setdefault(*("path", "/") if path[1] == "http" else ("query", "SELECT 1"))
    elif path[:2] == ("verify", "magic_link"):
        section["magic_link"].setdefault("redirect_url", "/")
    return json.dumps(document)


def _read(text: str, folder: Path, **variables: str) -> str:
    """Everything that reading says and returns, except what `reveal` gives."""
    try:
        manifest = read_manifest_text(text, folder, environ=variables)
    except MosaicError as error:
        return repr((error.message, error.hint, [(str(p), p.hint) for p in getattr(error, "problems", ())]))
    return f"{manifest!r}{asdict(manifest)}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "public").mkdir()
    return tmp_path


def test_the_fields_are_those_of_the_schema() -> None:
    shown = {".".join(map(str, path)) for path in FIELDS}
    assert {
        "project.name", "static.dir", "static.prune", "database.seeds.0", "auth.magic_link.allowed_redirect_urls.0",
        "verify.http.0.path", "verify.http.0.headers.x-key", "verify.http.0.json.x-key", "verify.http.0.max_ms",
        "verify.sql.0.query", "verify.sql.0.value", "verify.magic_link.email", "policy.protected_tables.0",
    } <= shown  # fmt: skip
    assert {path[0] for path in HIDDEN} == {"verify"}
    assert len(HIDDEN) >= 13


@pytest.mark.parametrize("field", FIELDS, ids=str)
@pytest.mark.parametrize("form", ["{}", "/{}", "{}/x", "a {} b", "SELECT '{}'", "{}@example.com"])
def test_no_field_shows_a_secret(field: Steps, form: str, folder: Path) -> None:
    said = _read(_document(field, form.format("${V}")), folder, V=SECRET)
    assert SECRET not in said
    assert SECRET[3:30] not in said
    if is_public(field) and field != ("version",):
        assert "looks like a Mosaic API key, and this field is public" in said


@pytest.mark.parametrize("field", HIDDEN, ids=str)
@pytest.mark.parametrize("form", ["{}", "/{}", "SELECT '{}'", "{}@example.com"])
def test_no_check_shows_any_value(field: Steps, form: str, folder: Path) -> None:
    assert PLAIN not in _read(_document(field, form.format("${V}")), folder, V=PLAIN)


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_credentials_need_to_be_listed_and_are_never_public(field: Steps, folder: Path) -> None:
    text = _document(field, "${DEPLOY_TOKEN}")
    assert "variable DEPLOY_TOKEN is named like a credential" in _read(text, folder, DEPLOY_TOKEN="x")
    listed = json.dumps({**json.loads(text), "variables": {"credentials": ["DEPLOY_TOKEN"]}})
    refused = "variable DEPLOY_TOKEN is named like a credential" in _read(listed, folder, DEPLOY_TOKEN="x")
    assert refused == is_public(field)


def test_a_mistake_in_a_file_names_the_variable_and_what_to_do(folder: Path) -> None:
    (folder / "mosaic.yaml").write_text(
        "version: 1\nproject: {name: '${GITHUB_TOKEN}'}\nverify: {sql: [{query: \"select '${MY_SECRET}'\"}]}\n"
    )
    with pytest.raises(ManifestInvalid) as caught:
        read_manifest(folder, environ={"GITHUB_TOKEN": SECRET, "MY_SECRET": SECRET})
    first, second = caught.value.problems
    assert "mosaic.yaml:2:18" in str(first)
    assert "GITHUB_TOKEN is named like a credential, and this field is public" in first.message
    assert second.hint == "list it: variables: {credentials: [MY_SECRET]}"


def test_variables_of_other_environments_are_not_read(folder: Path) -> None:
    text = "version: 1\nenvironments: {x: {project: {name: '${GITHUB_TOKEN}'}}}\n"
    assert read_manifest_text(text, folder, environ={"GITHUB_TOKEN": SECRET}).environments == ("x",)


@pytest.mark.parametrize(
    "name",
    [
        "MOSAIC_API_KEY", "GITHUB_TOKEN", "ACTIONS_RUNTIME_URL", "AWS_REGION", "MY_SECRET_VALUE", "CLIENT_SECRETS",
        "NPM_TOKEN", "TOKEN", "PGPASSWORD", "DB_PASSWORD", "DATABASE_URL", "database_url", "PROD_DATABASE_URL",
        "aws_secret_access_key", "REDIS_URL", "MOSAIC_SMTP_URL", "dbPassword", "stripeApiKey", "SENTRY_DSN", "KEY",
        "GITHUB_PAT", "MONGODB_URI", "DBPASSWORD", "AZURE_STORAGE_CONNECTION_STRING", "MYAPIKEY", "SSH_PRIVATE_KEY",
        "DB_PW", "DBPASS", "MYSQLPASS", "DBPWD", "SECRETKEY", "SIGNINGKEY", "SECRETKEYBASE", "PASSWORD1", "TOKEN2",
        "API_KEY2", "OTP", "SSH_PRIVATE",
    ],
)  # fmt: skip
def test_names_of_credentials(name: str) -> None:
    assert is_credential_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PROJECT_NAME",
        "PR_NUMBER",
        "PWD",
        "HOST",
        "GITHUB_SHA",
        "MOSAIC_ENV",
        "SITE_URL",
        "MONKEY",
        "KEYBOARD",
        "COMPASS",
        "BYPASS_CACHE",
        "PINNED",
        "HASH256",
        "LANG",
    ],
)
def test_other_names(name: str) -> None:
    assert not is_credential_name(name)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("shop-42", None),
        ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", None),
        ("3f2c1a0e-9b7d-4c58-8f1e-2d3c4b5a6978", None),
        ("a-folder/with-a-very-long-name/and-2-more", None),
        (SECRET, "a Mosaic API key"),
        ("postgres://u:" + "hT9pQ2xx" + "@db.prod/x", "a database URL with its password"),
        ("http://ada:" + "swordfish" + "@proxy:3128", "an address with a password"),
        ("https://ada@example.com:8443/a:b@c", None),
        ("wJalrXUtnFEMI7K9MDENGbPxRfiCYz", "a generated password or key"),
    ],
)
def test_what_may_not_become_public(value: str, kind: str | None) -> None:
    assert secret_in(value) == kind


@pytest.mark.parametrize(
    "around", ["{}", "x{}x", '"{}"', "https://a/?q={}", "{}…", "the page doesn't contain {}"]
)
@pytest.mark.parametrize("value", ["hidden-marker", 'quo"ted\\ né', "two\nlines of it", "a b/c?d"])
def test_values_are_removed_from_texts_of_others(value: str, around: str) -> None:
    hidden = VariableValue("${V}", value)
    forms = [value, json.dumps(value)[1:-1], repr(value)[1:-1], value.replace("\n", " ")]
    for form in forms:
        assert "${V}" in (said := hide_values(around.format(form), [hidden]))
        assert form not in said
    for length in range(4, len(value)):
        assert value[:length] not in hide_values(f"it says {value[:length]}…", [hidden])


def test_the_variables_in_a_value_are_removed_too(folder: Path) -> None:
    text = "version: 1\nverify: {sql: [{query: \"SELECT '${V}', '${W:-todo}', '$${V}'\"}]}\n"
    [query] = read_manifest_text(text, folder, environ={"V": PLAIN}).verify.variable_values()
    assert query.reveal() == f"SELECT '{PLAIN}', 'todo', '${{V}}'"
    assert hide_values(f'invalid input "{PLAIN}" of todo', [query]) == 'invalid input "${V}" of todo'


def test_a_value_is_shown_as_written() -> None:
    value = VariableValue("Bearer ${V}", "Bearer hidden-marker")
    assert {str(value), repr(value), f"{value}", f"{value!r:>3}"} == {"Bearer ${V}"}
    with pytest.raises(TypeError):
        json.dumps(value)
