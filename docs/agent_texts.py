"""Makes llms.txt and skills/mosaic-deploy/SKILL.md from the commands, the manifest's schema and the errors.

.venv/bin/python docs/agent_texts.py; a test fails where they aren't what it would write.
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
_PAGES = ("agents", "cli", "manifest", "migrations", "errors", "lint", "local", "github", "self-hosting")
_ABOUT = {
    "cli": "Every command and option, exit codes, output formats and environment variables.",
    "errors": "Every error code: what it means, its causes, what to do.",
    "architecture": "How it is built, and what is known of the hosted platform.",
    "benchmarks": "How fast it is, beside its neighbours.",
}
"""Pages that don't begin with what they are about."""
_SCHEMAS = ("mosaic", "plan", "event", "error")
_ASIDE = frozenset({"platform", "completion", "dev", "watch", "login", "logout", "open", "mcp"})
"""Commands that llms.txt has and the skill needn't: for people, for servers, or long-running."""
_DEPENDS = {"plan_stale": "depends: of `apply` with a manifest yes; of a saved plan and over MCP no"}
"""Codes whose errors differ in that, by who meets them."""
_DRAWN = re.compile(r"(\w+) {2,}([a-z_]+) {2,}(\S.*)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def texts() -> dict[str, str]:
    """Path from the project's folder → what the file should hold."""
    return {"llms.txt": _llms(), "skills/mosaic-deploy/SKILL.md": _skill()}


def _llms() -> str:
    parts = [
        "# mosaic-deploy",
        "",
        "> Deploys a project to Mosaic (PostgreSQL, static hosting, object storage, sign-in by mail) from one file, "
        "mosaic.yaml: validate, plan, apply, verify. The whole platform also runs on your own machine, without an "
        "account.",
        "",
        *_llms_notes(),
        "",
        "## Documentation",
        "",
        *(f"- [{name}.md](docs/{name}.md): {_about(name)}" for name in _PAGES),
        "- [SKILL.md](skills/mosaic-deploy/SKILL.md): the workflow, the rules of consent, fields, commands and error "
        "codes on one page.",
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
        "- [CHANGELOG.md](CHANGELOG.md): what changed, release by release.",
        "- [examples/todo](examples/todo/mosaic.yaml): a whole project.",
    ]
    return "\n".join(parts) + "\n"


def _llms_notes() -> Iterator[str]:
    yield "- Rehearse first: `--local` on any command means the platform on this machine, started if need be."
    yield "- `--output json` prints one document, also on failure; an error has `code`, `location`, `hint`, `next_actions`."
    yield "- `mosaic-deploy schema` prints the manifest's JSON Schema; `mosaic-deploy explain CODE` cause and cure of a code."
    yield "- `mosaic-deploy mcp` serves the same as tools of the Model Context Protocol."
    yield "- What destroys data needs a person's agreement: don't pass `--allow` on your own."


def _skill() -> str:
    template = (ROOT / "docs" / "skill_template.txt").read_text(encoding="utf-8")
    parts = {
        "FIELDS": [
            f"| `{path}` | {kind} | {told} |"
            for path, kind, told in _fields(read_schema("mosaic.schema.json"))
        ],
        "COMMANDS": [
            f"| `{_usage(name, command)}` | {_help(command)} |"
            for name, command in _commands()
            if name.split()[1] not in _ASIDE and not isinstance(command, click.Group)
        ],
        "CODES": [f"| `{code}` | {meaning} | {again} |" for code, meaning, again in _codes()],
    }
    for name, lines in parts.items():
        template = template.replace(f"@{name}@", "\n".join(lines))
    return template


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and group below the program's own, in the order of its help."""
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
    """The command below the program with its arguments; a bar would end a table's cell."""
    words = (
        each.make_metavar(click.Context(command))
        for each in command.params
        if isinstance(each, click.Argument)
    )
    return " ".join([name.removeprefix("mosaic-deploy "), *(word.replace("|", ",") for word in words)])


def _help(command: click.Command) -> str:
    """The first sentence of a command's help."""
    text = " ".join((command.help or "").split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".") + "."


def _codes() -> Iterator[tuple[str, str, str]]:
    """Code, meaning, and whether the same command may succeed later by itself, as errors.py draws them."""
    kinds = {kind.__name__: kind for kind in errors.all_errors()}
    for name, code, meaning in _DRAWN.findall(errors.__doc__ or ""):
        told = meaning if meaning.endswith("…") else f"{meaning.rstrip('.')}."
        yield (
            code,
            f"{told[0].upper()}{told[1:]}",
            _DEPENDS.get(code) or ("yes" if kinds[name].retryable else "no"),
        )


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str, str]]:
    """(dotted path, type, meaning) of every field that stands in a table of its own in the manifest."""
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        kind = _kind(field) + (", required" if name in schema.get("required", ()) else "")
        yield here, kind, field["description"].replace("|", "\\|")
        yield from _fields(field, here)
        yield from _fields(field.get("items", {}), f"{here}[]")


def _kind(field: dict[str, Any]) -> str:
    names = {
        "string": "text", "integer": "whole number", "number": "number", "boolean": "true, false", "object": "map",
    }  # fmt: skip
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    if kinds == ["array"]:
        return f"list of {_kind(field['items'])}s"
    shown = ", ".join(names[kind] for kind in kinds)
    default = field.get("default")
    return shown if default in (None, "", []) else f"{shown}; default {str(default).lower()}"


def _schema_line(name: str) -> str:
    schema = read_schema(f"{name}.schema.json")
    told = schema["description"].partition(". ")[0].rstrip(".")
    return f"- [{name}.schema.json](schemas/{name}.schema.json): {told}."


def _about(page: str) -> str:
    """What a page is about: the first sentence of its prose, where that tells."""
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
