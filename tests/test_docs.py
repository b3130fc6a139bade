"""The docs match the program: everything is documented, nothing is invented, no link is dead."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mosaic_deploy.cli.program import cli
from mosaic_deploy.errors import MosaicError, all_errors
from mosaic_deploy.schema_files import read_schema
from mosaic_deploy.source.manifest.read import read_manifest
from tests.docs_markdown import PAGES, ROOT, Block, anchors, blocks, commands, links, read, sections, tables
from tests.offered_commands import parse

FIRST = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[local]' && .venv/bin/mosaic-deploy apply --local --yes examples/todo"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[local,dev]' && .venv/bin/pytest"

CLI, ERRORS, MANIFEST = (ROOT / "docs" / name for name in ("cli.md", "errors.md", "manifest.md"))
_SHELL_NAMES = re.compile(
    r"(?:environ|settings)(?:\.get\(|\[)\s*[\"']([A-Z][A-Z0-9_]+)|[\"'](MOSAIC_[A-Z_]+)[\"']"
)
_WITHOUT_DEFAULT = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_BASES = {"MosaicError", "SourceError", "MigrationError", "ApiError", "StatementFailed"}
"""Never raised themselves, so their codes aren't documented; except MosaicError's own `error`, an internal error."""


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            child = command.get_command(context, each)
            assert child is not None
            yield from walk(child, f"{name} {each}")


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(dotted path, schema, required) of every field."""
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, field, name in schema.get("required", ())
        yield from fields(field, here)
        yield from fields(field.get("items", {}), f"{here}[]")


def facts(schema: dict[str, Any], *, required: bool) -> str:
    """The first line of a field's section: type, bounds, default."""
    parts = [_choices(schema["enum"]) if "enum" in schema else _type(schema)]
    if "const" in schema:
        parts.append(f"always `{schema['const']}`")
    if "minimum" in schema or "maximum" in schema:
        parts.append(f"{schema['minimum']} to {schema['maximum']}")
    if "maxLength" in schema:
        parts.append(f"{schema['minLength']} to {schema['maxLength']} characters")
    if required:
        parts.append("required")
    elif "default" in schema:
        parts.append(f"default `{_yaml(schema['default'])}`")
    else:
        parts.append("optional")
    return f"*{', '.join(parts)}*"


def _choices(values: list[object]) -> str:
    *first, last = [f"`{_yaml(value)}`" for value in values]
    return f"{', '.join(first)} or {last}"


def _type(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "text")
    if kind == "array":
        return "list of maps" if schema["items"].get("type") == "object" else "list of texts"
    names = {
        "string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "object": "map",
        "null": "null", "array": "list",
    }  # fmt: skip
    return " or ".join(names[each] for each in ([kind] if isinstance(kind, str) else kind))


def _yaml(value: object) -> str:
    return (
        {True: "true", False: "false", "": '""'}.get(value, str(value))
        if isinstance(value, str | bool)
        else str(value)
    )


COMMANDS = dict(walk(cli, "mosaic-deploy"))
FIELDS = {path: (field, required) for path, field, required in fields(read_schema("mosaic.schema.json"))}
CODES = [kind.code for kind in all_errors() if kind.__name__ not in _BASES] + [MosaicError.code]
MANIFESTS = [
    b
    for page in PAGES
    for b in blocks(page)
    if b.language == "yaml" and re.search(r"^version: 1$", b.text, re.M)
]


@pytest.mark.parametrize("name", COMMANDS)
def test_cli_md_documents_every_command_and_option(name: str) -> None:
    assert name in sections(CLI), f"docs/cli.md has no section `{name}`"
    text = documentation_of(name)
    for parameter in COMMANDS[name].params:
        words = (
            [*parameter.opts, *parameter.secondary_opts]
            if isinstance(parameter, click.Option)
            else [parameter.metavar or parameter.name.upper()]
        )
        for word in (each.strip("[]") for each in words):
            assert f"`{word}" in text, f"docs/cli.md doesn't explain {word} under `{name}`"


def documentation_of(name: str) -> str:
    """A command's section, with the rows of the common options that it names."""
    found = sections(CLI)
    rows = {row[1]: row[0] for row in re.finditer(r"^\| `([^ `]+).*", found["Common options"], re.MULTILINE)}
    named = common_options(name)
    assert named <= rows.keys(), f"`{name}` names common options that aren't explained: {named - rows.keys()}"
    return "\n".join([found[name], *(rows[each] for each in sorted(named))])


def common_options(name: str) -> set[str]:
    """What a section's `Common:` paragraph names: `PATH` and long options."""
    paragraph = re.search(r"\bCommon: (.+?)(?:\n\n|\Z)", sections(CLI)[name], re.DOTALL)
    return set(re.findall(r"`(PATH|--[a-z-]+)`", paragraph[1])) if paragraph else set()


def test_cli_md_has_no_unknown_commands() -> None:
    headings = {each for each in sections(CLI) if each.startswith("mosaic-deploy")}
    assert headings <= COMMANDS.keys()


@pytest.mark.parametrize("name", [each for each in COMMANDS if each != "mosaic-deploy"])
def test_cli_md_has_no_unknown_options(name: str) -> None:
    rows = re.findall(r"^\| (`-.*?) \|", sections(CLI)[name], re.MULTILINE)
    known = {word for each in COMMANDS[name].params for word in (*each.opts, *each.secondary_opts)}
    known |= {"--help", "-h"}
    assert {word.split()[0] for row in rows for word in re.findall(r"`(-[^`]+)`", row)} <= known
    assert common_options(name) - {"PATH"} <= known


@pytest.mark.parametrize("code", CODES)
def test_every_error_code_is_in_errors_md(code: str) -> None:
    text = sections(ERRORS).get(code)
    assert text, f"docs/errors.md has no section `{code}`"
    for part in ("**Causes.**", "**Fix.**", "```"):
        assert part in text, f"the section `{code}` lacks {part}"


def test_errors_md_has_no_unknown_codes() -> None:
    headings = {each for each in sections(ERRORS) if re.fullmatch(r"[a-z]+(_[a-z]+)*", each)}
    assert headings == set(CODES)


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_is_in_manifest_md_with_type_and_default(path: str) -> None:
    schema, required = FIELDS[path]
    text = sections(MANIFEST).get(path)
    assert text, f"docs/manifest.md has no section `{path}`"
    assert text.lstrip().splitlines()[0] == facts(schema, required=required)
    assert "```yaml" in text, f"the section `{path}` has no example"


def test_manifest_md_has_no_unknown_fields() -> None:
    tops = {path.split(".")[0] for path in FIELDS}
    headings = {each for each in sections(MANIFEST) if re.split(r"[.\[]", each)[0] in tops}
    assert headings - {"environments.<name>"} == FIELDS.keys()


def test_every_environment_variable_is_in_cli_md() -> None:
    code = "".join(read(path) for path in (ROOT / "mosaic_deploy").rglob("*.py"))
    names = {name for pair in _SHELL_NAMES.findall(code) for name in pair if name}
    assert {"MOSAIC_API_KEY", "MOSAIC_HOME", "NO_COLOR", "CI"} <= names, "the search is broken"
    text = sections(CLI)["Environment variables"]
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("C*.md")], ids=lambda page: page.name)
def test_every_table_is_rectangular(page: Path) -> None:
    for table in tables(page):
        number, head = table[0]
        assert all(re.fullmatch(":?-+:?", cell) for cell in table[1][1]), f"{page.name}:{number + 1}"
        wrong = [line for line, cells in table if len(cells) != len(head)]
        assert not wrong, f"{page.name}: lines {wrong} don't have {len(head)} cells"


def test_cli_md_has_every_type_of_document() -> None:
    """Every value of `type` is in a table."""
    written = re.compile(r"\"type\": \"(\w+)\"")
    rooms = ("cli", "deploy", "model")
    files = {path for room in rooms for path in (ROOT / "mosaic_deploy" / room).rglob("*.py")}
    # Messages to the browser aren't output.
    code = "".join(read(path) for path in files if path.name != "live_reload.py")
    names = set(written.findall(code))
    assert {"plan", "error", "version", "login"} <= names, "the search is broken"
    text = sections(CLI)["NDJSON"] + sections(CLI)["JSON"]
    assert sorted(name for name in names if f"`{name}`" not in text) == []


_LINKS_IN_CODE = re.compile(r"\b(docs/[\w-]+\.md)#([\w-]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_work(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not fragment or fragment in anchors(target), f"{page.name} links to {link}"


def test_readme_has_the_exact_commands() -> None:
    lines = read(ROOT / "README.md").splitlines()
    assert FIRST in lines
    marked = re.search(r"<!-- test-command -->\n```sh\n(.*?)\n```", read(ROOT / "README.md"), re.DOTALL)
    assert marked
    assert marked[1] == TESTS


def test_the_readme_is_short() -> None:
    assert len(read(ROOT / "README.md").splitlines()) < 120


def test_contributing_has_the_exact_test_command() -> None:
    assert TESTS in read(ROOT / "CONTRIBUTING.md").splitlines()


@pytest.mark.parametrize("block", MANIFESTS, ids=str)
def test_every_manifest_in_the_docs_is_valid(block: Block, tmp_path: Path) -> None:
    value = yaml.safe_load(block.text)
    for one in (value, *(value.get("environments") or {}).values()):
        for section, name in (("static", "dir"), ("storage", "dir"), ("database", "migrations")):
            folder = ((one or {}).get(section) or {}).get(name)
            if folder:
                (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for seed in ((one or {}).get("database") or {}).get("seeds", ()):
            (tmp_path / seed).mkdir(parents=True, exist_ok=True)
    file = tmp_path / "mosaic.yaml"
    file.write_text(block.text, encoding="utf-8")
    variables = dict.fromkeys(_WITHOUT_DEFAULT.findall(block.text), "word")
    for environment in (None, *value.get("environments", {})):
        read_manifest(file, environment=environment, environ=variables)


def test_the_docs_show_manifests() -> None:
    assert len(MANIFESTS) >= 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_docs_parses(page: Path) -> None:
    for where, arguments in commands(page):
        if {"--help", "-h", "--version"} & set(arguments):
            continue
        try:
            parse(arguments)
        except click.ClickException as error:
            pytest.fail(f"{where}: mosaic-deploy {' '.join(arguments)}: {error.message}")


@pytest.mark.parametrize("file", sorted((ROOT / "mosaic_deploy").rglob("*.py")), ids=lambda file: file.name)
def test_every_suggested_command_parses(file: Path) -> None:
    for where, arguments in suggestions(file):
        try:
            parse(arguments)
        except click.ClickException as error:
            pytest.fail(f"{where}: mosaic-deploy {' '.join(arguments)}: {error.message}")


def suggestions(file: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands in next actions and, in backticks, in messages; formatted values become `word`."""
    module = ast.parse(read(file))
    if ast.get_docstring(module) is not None:
        # Nobody sees a module's docstring but readers of the code; those of commands are their help.
        del module.body[0]
    for node in ast.walk(module):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            for command in re.findall(r"`mosaic-deploy ([^`]+)`", _text(node)):
                yield f"{file.name}:{node.lineno}", shlex.split(command)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "NextAction":
            _, found, command = "".join(_text(one) for one in node.args[1:2]).partition("mosaic-deploy ")
            if found:
                yield f"{file.name}:{node.lineno}", shlex.split(command)


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "word"


def test_parse_rejects_invalid_commands() -> None:
    for arguments in (
        ["deploy"],
        ["plan", "--loca"],
        ["local", "strt"],
        ["plan", "--output", "xml"],
        ["plan", "--env", "a", "--env", "b"],
    ):
        with pytest.raises(click.ClickException):
            parse(arguments)


def test_links_in_messages_work() -> None:
    """A hint that names a page and a heading."""
    named = {
        found
        for path in (ROOT / "mosaic_deploy").rglob("*.py")
        for found in _LINKS_IN_CODE.findall(read(path))
    }
    assert named
    assert sorted(f"{page}#{anchor}" for page, anchor in named if anchor not in anchors(ROOT / page)) == []
