"""Generates llms.txt and skills/mosaic-deploy/SKILL.md from the commands, the manifest's schema and the errors.

Run `.venv/bin/python docs/agent_texts.py`; a test fails if the files are out of date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mosaic_deploy import errors
from mosaic_deploy.cli.program import cli
from mosaic_deploy.schema_files import read_schema

ROOT = Path(__file__).resolve().parent.parent
_PAGES = (
    "agents",
    "cli",
    "manifest",
    "migrations",
    "errors",
    "api-errors",
    "lint",
    "local",
    "github",
    "self-hosting",
)
_ABOUT = {
    "cli": "Every command and option, exit codes, output formats and environment variables.",
    "errors": "Every error code: meaning, causes and fix.",
    "architecture": "How it is built, and what is known about the hosted platform.",
    "benchmarks": "How fast it is, compared with similar tools.",
}
"""Descriptions of pages that don't begin with one."""
_SCHEMAS = ("mosaic", "plan", "event", "error")
_SKILL_EXCLUDES = frozenset(
    {"platform", "psql", "completion", "dev", "watch", "login", "logout", "open", "mcp"}
)
"""Commands that the skill leaves out: for people, for servers, or long-running."""
_RETRYABLE = {"plan_stale": "by `apply` with a manifest: yes; with a saved plan or over MCP: no"}
"""Codes that are retryable in some situations only."""
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def texts() -> dict[str, str]:
    """Path in the repository → content."""
    return {"llms.txt": _llms(), "skills/mosaic-deploy/SKILL.md": _skill()}


def _llms() -> str:
    parts = [
        "# mosaic-deploy",
        "",
        "> Deploys a project to Mosaic (PostgreSQL, static hosting, object storage, magic-link sign-in) from one file, "
        "mosaic.yaml: validate, plan, apply, verify. The whole platform also runs on your machine, without an account.",
        "",
        *_llms_notes(),
        "",
        "## Documentation",
        "",
        *(f"- [{name}.md](docs/{name}.md): {_about(name)}" for name in _PAGES),
        "- [SKILL.md](skills/mosaic-deploy/SKILL.md): the workflow, the rules, and every field, command and error "
        "code on one page.",
        "",
        "## Schemas",
        "",
        *(_schema_line(name) for name in _SCHEMAS),
        "",
        "## Commands",
        "",
        *(f"- [{name}](docs/cli.md#{_anchor(name)}): {_help(command)}" for name, command in _commands()),
        "",
        "## Errors",
        "",
        *(f"- [{code}](docs/errors.md#{_anchor(code)}): {meaning}" for code, meaning, _ in _codes()),
        "",
        "## Optional",
        "",
        f"- [architecture.md](docs/architecture.md): {_about('architecture')}",
        f"- [benchmarks.md](docs/benchmarks.md): {_about('benchmarks')}",
        "- [CHANGELOG.md](CHANGELOG.md): the changes in each release.",
        "- [examples/todo](examples/todo/mosaic.yaml): a complete project.",
    ]
    return "\n".join(parts) + "\n"


def _llms_notes() -> Iterator[str]:
    yield "- Try it locally first: `--local` on any command uses the platform on this machine and starts it if needed."
    yield "- `--output json` prints one document, also on failure; an error has `code`, `location`, `hint`, `next_actions`."
    yield "- `mosaic-deploy schema` prints the manifest's JSON Schema; `mosaic-deploy explain CODE` explains an error code."
    yield "- `mosaic-deploy mcp` serves the same operations as MCP tools."
    yield "- Destructive changes need a person's decision: don't pass `--allow` on your own."


def _skill() -> str:
    template = (ROOT / "docs" / "skill_template.txt").read_text(encoding="utf-8")
    parts = {
        "FIELDS": [
            f"| `{path}` | {kind} | {meaning} |"
            for path, kind, meaning in _fields(read_schema("mosaic.schema.json"))
        ],
        "COMMANDS": [
            f"| `{_usage(name, command)}` | {_help(command)} |"
            for name, command in _commands()
            if name.split()[1] not in _SKILL_EXCLUDES and not isinstance(command, click.Group)
        ],
        "CODES": [f"| `{code}` | {meaning} | {again} |" for code, meaning, again in _codes()],
    }
    for name, lines in parts.items():
        template = template.replace(f"@{name}@", "\n".join(lines))
    return template


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and group, in the order of the program's help."""
    yield from _below(cli, "mosaic-deploy")


def _below(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _below(command, f"{path} {name}")


def _usage(name: str, command: click.Command) -> str:
    """The command with its arguments, without the program; a `|` would end a table's cell."""
    words = (
        each.make_metavar(click.Context(command))
        for each in command.params
        if isinstance(each, click.Argument)
    )
    return " ".join([name.removeprefix("mosaic-deploy "), *(word.replace("|", ",") for word in words)])


def _help(command: click.Command) -> str:
    """The first sentence of a command's help."""
    return _first_sentence(command.help or "")


def _codes() -> Iterator[tuple[str, str, str]]:
    """(code, meaning, retryable) of every error, from its class."""
    for kind in errors.all_errors():
        if not kind.__subclasses__():
            retryable = _RETRYABLE.get(kind.code) or ("yes" if kind.retryable else "no")
            yield kind.code, _first_sentence(kind.__doc__ or ""), retryable


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return paragraph.partition(". ")[0].rstrip(".") + "."


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str, str]]:
    """(dotted path, type, meaning) of every field of the manifest."""
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        kind = _kind(field) + (", required" if name in schema.get("required", ()) else "")
        yield here, kind, field["description"].replace("|", "\\|")
        yield from _fields(field, here)
        yield from _fields(field.get("items", {}), f"{here}[]")


def _kind(field: dict[str, Any]) -> str:
    names = {
        "string": "text", "integer": "whole number", "number": "number", "boolean": "true, false", "object": "map",
        "array": "list", "null": "null",
    }  # fmt: skip
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    if kinds == ["array"]:
        return f"list of {_kind(field['items'])}s"
    shown = ", ".join(names[kind] for kind in kinds)
    default = field.get("default")
    return shown if default in (None, "", []) else f"{shown}; default {str(default).lower()}"


def _schema_line(name: str) -> str:
    schema = read_schema(f"{name}.schema.json")
    return f"- [{name}.schema.json](schemas/{name}.schema.json): {_first_sentence(schema['description'])}"


def _about(page: str) -> str:
    """A page's description, by default the first sentence of its prose."""
    if page in _ABOUT:
        return _ABOUT[page]
    prose = _LINK.sub(r"\1", _FENCE.sub("", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")))
    paragraph = next(
        part
        for part in prose.split("\n\n")
        if part.strip() and not part.lstrip().startswith(("#", "|", "!", "<"))
    )
    return re.split(r"(?<=[.:]) ", " ".join(paragraph.split()))[0].rstrip(".:") + "."


def _anchor(heading: str) -> str:
    return heading.replace(" ", "-")


def main() -> None:
    for name, text in texts().items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
