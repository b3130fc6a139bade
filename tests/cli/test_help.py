"""`--help` of every command, and the words from other tools that lead to a command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from mosaic_deploy.cli.lazy_groups import Group, LazyGroup
from mosaic_deploy.cli.program import SYNONYMS, cli
from tests.offered_commands import parse

_MAX_SUMMARY = 55
_SECTIONS = {
    "Start": ["init", "login", "logout", "projects", "doctor", "completion"],
    "Deploy": ["validate", "plan", "apply", "verify", "watch", "dev"],
    "Database": ["migrate", "sql", "psql", "credentials"],
    "Inspect": ["status", "history", "open", "storage", "auth", "explain", "schema", "ticket"],
    "Local": ["local", "platform"],
    "CI and agents": ["ci", "mcp"],
}


def _walk(context: click.Context) -> Iterator[click.Context]:
    """The context of each visible command, with 80 columns."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _walk(click.Context(command, info_name=name, parent=context, terminal_width=80))


_CONTEXTS = list(_walk(click.Context(cli, info_name="mosaic-deploy", terminal_width=80)))
_GROUPS = [each for each in _CONTEXTS if isinstance(each.command, click.Group)]
_COMMANDS = [each for each in _CONTEXTS if not isinstance(each.command, click.Group)]


def _path(context: click.Context) -> str:
    return context.command_path


def _output(*code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_commands_are_grouped() -> None:
    assert isinstance(cli, LazyGroup)
    sections: dict[str, list[str]] = {}
    for section, name, _ in cli.summaries(_CONTEXTS[0]):
        sections.setdefault(section, []).append(name)
    assert sections == _SECTIONS
    assert list(sections) == list(_SECTIONS)
    text = cli.get_help(_CONTEXTS[0])
    assert re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE) == ["Options", *_SECTIONS]


@pytest.mark.parametrize("context", _GROUPS, ids=_path)
def test_summaries_are_the_first_sentences_of_the_commands(context: click.Context) -> None:
    group = context.command
    assert isinstance(group, Group)
    for _, name, summary in group.summaries(context):
        command = group.get_command(context, name)
        assert command is not None
        assert summary == command.get_short_help_str(limit=1000).removesuffix("."), name
        assert len(summary) <= _MAX_SUMMARY, name


@pytest.mark.parametrize("context", _CONTEXTS, ids=_path)
def test_no_help_text_is_cut(context: click.Context) -> None:
    lines = context.command.get_help(context).splitlines()
    texts = [line for line in lines if not line.startswith("Usage: ")]
    assert [line for line in texts if line.endswith(("...", "…"))] == []
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("context", _COMMANDS, ids=_path)
def test_every_command_has_an_example_that_exists(context: click.Context) -> None:
    examples = re.findall(
        r"^ +(?:echo .* \| )?mosaic-deploy ([^>&\\\n]+)", context.command.get_help(context), re.M
    )
    if context.command.name == "mcp":
        return
    assert examples
    for example in examples:
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', example)]
        if words[:2] != ["platform", "serve"]:
            parse(words)


def test_help_imports_no_command() -> None:
    code = (
        "import sys",
        "from mosaic_deploy.cli.main import run",
        "code = run(['--help'])",
        "rooms = ('mosaic_deploy.cli.commands.', 'mosaic_deploy.agent')",
        "print([code, *(name for name in sys.modules if name.startswith(rooms))])",
    )
    assert _output(*code).splitlines()[-1] == "[0]"


@pytest.mark.parametrize(("word", "command"), SYNONYMS.items())
def test_common_words_lead_to_a_command(run, word: str, command: str) -> None:
    ended = run(word)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"No such command '{word}'. Use: mosaic-deploy {command}\n" in ended.stderr
    error = json.loads(run(word, "-o", "json").stdout)["error"]
    assert error["message"] == f"No such command '{word}'. Use: mosaic-deploy {command}"
    assert [action["command"] for action in error["next_actions"]] == [f"mosaic-deploy {command}"]


@pytest.mark.parametrize("word", ["destroy", "delete"])
def test_destroy_says_what_to_do(run, word: str) -> None:
    ended = run(word)
    assert ended.returncode == 2
    assert "Projects can't be deleted from here." in ended.stderr


def test_migrate_has_common_words_too(run) -> None:
    assert "Use: mosaic-deploy migrate rollback\n" in run("migrate", "down").stderr


def test_help_and_version_work(run) -> None:
    assert run("help").stdout == run("--help").stdout
    assert run("help", "migrate", "commit").stdout == run("migrate", "commit", "--help").stdout
    assert "Use: mosaic-deploy apply\n" in run("help", "deploy").stderr
    assert run("version").stdout == run("--version").stdout
    document = json.loads(run("version", "-o", "json").stdout)
    assert run("version").stdout == f"mosaic-deploy {document['mosaic_deploy']}\n"
    assert json.loads(run("help", "plan", "-o", "json").stdout)["command"] == "mosaic-deploy plan"


def test_seal_is_an_alias_of_commit(run) -> None:
    assert "Turn draft.sql into the next migration file" in run("migrate", "seal", "--help").stdout
    assert "seal" not in run("migrate", "--help").stdout


@pytest.mark.parametrize("context", _COMMANDS, ids=_path)
def test_defaults_and_ranges_are_in_the_sentences(context: click.Context) -> None:
    text = context.command.get_help(context)
    assert "[default:" not in text
    assert "x>=" not in text
    assert "<=x" not in text
