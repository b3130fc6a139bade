"""Invalid command lines and settings."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mosaic_deploy.cli import main
from mosaic_deploy.cli.program import cli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "-o", "json", "--no-such-option"], "No such option"),
        (["plan", "--no-such-option", "--output=json"], "No such option"),
        (["plan", "--only", "statik", "-ojson"], "unknown resource 'statik'"),
        (["paln", "--output", "json"], "No such command 'paln'. Did you mean 'plan'?"),
        (["apply", "--parallelism", "0", "--output", "json"], "0 is not in the range"),
        (["apply", "--allow", "prune=1", "--allow", "prune=2", "-ojson"], "prune=1 and prune=2 contradict"),
        (
            ["apply", "--allow", "overwrite=2", "--allow", "overwrite=1", "-ojson"],
            "overwrite=1 and overwrite=2 contradict",
        ),
        (
            ["apply", "--allow", "prune=" + "9" * 23, "-ojson"],
            "isn't valid; use destructive, prune=N",
        ),
        (
            ["apply", "--allow", "overwrite=" + "9" * 5000, "-ojson"],
            "isn't valid; use destructive, prune=N",
        ),
        (
            ["apply", "--allow", "older-commit", "-ojson"],
            "prune=N, overwrite=N (such as overwrite=37) or policy",
        ),
        (["plan", "--timeout", "inf", "-ojson"], "is not in the range"),
        (["plan", "--timeout", "1e10", "-ojson"], "is not in the range"),
        (["apply", "--lock-timeout", "nan", "-ojson"], "'nan' isn't a number"),
        (["verify", "--wait", "nan", "-ojson"], "'nan' isn't a number"),
        (["migrate", "rollback", "--steps", "9" * 30, "-ojson"], "isn't a number up to"),
        (["migrate", "stauts", "-o", "json"], "Did you mean 'status'?"),
    ],
)
def test_usage_errors_are_one_document(run, arguments, said):
    ended = run(*arguments)
    assert ended.returncode == 2
    document = json.loads(ended.stdout)
    assert (document["type"], document["error"]["code"]) == ("error", "usage")
    assert said in document["error"]["message"]
    assert document["error"]["mutation_state"] == "none"
    assert ended.stderr == ""


def _walk(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from _walk(command, (*words, name))


def test_the_docs_name_the_commands_without_json() -> None:
    text = (Path(__file__).parents[2] / "docs/cli.md").read_text()
    named = re.search(r"Every command has `--output json` except (.+?)\.\n", text, re.DOTALL)
    assert named
    without = {
        " ".join(words)
        for words, command in _walk(cli)
        if not isinstance(command, click.Group)
        and not any(param.name == "output" and "json" in param.type.choices for param in command.params)
    }
    assert set(re.findall(r"`([a-z ]+)`", named[1])) - {"ndjson", "plan", "apply"} == without


def _wrong_arguments():
    """Each command with each kind of wrong arguments; no number of them is too many for some commands."""
    for words, command in _walk(cli):
        takes_any = any(param.nargs == -1 for param in command.params)
        too_many = [] if takes_any else [["--", *"abcdefgh"], ["é 🎉"] * 8]
        for wrong in (["--no-such-thing"], ["--outptu", "json"], *too_many):
            yield pytest.param(words, wrong, id=" ".join((*words, wrong[0])))


@pytest.mark.parametrize(("words", "wrong"), list(_wrong_arguments()))
def test_every_wrong_argument_is_one_document(words, wrong, capsys):
    assert main.run([*words, "--output", "json", *wrong]) == 2
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["type"], document["error"]["code"]) == ("error", "usage")
    assert err == ""


@pytest.mark.parametrize("words", [words for words, each in _walk(cli) if isinstance(each, click.Group)])
@pytest.mark.parametrize("wrong", ["", "no such", "--", "-", "\udcff", "🎉"])
def test_an_unknown_command_of_a_group_is_one_document(words, wrong, capsys):
    assert main.run([*words, wrong, "-o", "json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_ndjson_has_its_version_line(run):
    lines = [json.loads(line) for line in run("plan", "--nothing", "-o", "ndjson").stdout.splitlines()]
    assert [line["type"] for line in lines] == ["version", "error"]


def test_a_usage_error_never_exits_with_two_with_detailed_exitcode(run):
    ended = run("plan", "--detailed-exitcode", "--nothing", "-o", "json")
    assert (ended.returncode, json.loads(ended.stdout)["error"]["code"]) == (1, "usage")


def test_usage_errors_are_text_for_people(run):
    ended = run("plan", "--output", "xml")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Usage: mosaic-deploy plan" in ended.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("aply", "Did you mean 'apply'?"),
        ("Plan", "Did you mean 'plan'?"),
        ("xyzzy", "List the commands with: mosaic-deploy --help"),
    ],
)
def test_an_unknown_command_suggests_a_similar_one(run, name, said):
    ended = run(name)
    assert ended.returncode == 2
    assert said in ended.stderr


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:hunter22@api.mosaic.site",
        "https://hunter22@api.mosaic.site",
        "http://ada:hunter22@127.0.0.1:9",
        "https://:hunter22@api.mosaic.site/",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_shown(run, folder, url):
    ended = run("plan", env={"MOSAIC_API_URL": url, "MOSAIC_API_KEY": "mk_x"})
    assert ended.returncode == 1
    assert "error[api_url_invalid]: MOSAIC_API_URL has a user name or password" in ended.stderr
    assert "hunter22" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "url",
    [
        "https://[::1",
        "https://api.mosaic.site:port",
        "api.mosaic.site",
        "ftp://a",
        "https://",
        "https://xn--",
        "https://exa mple",
    ],
)
def test_an_invalid_api_url_is_explained(run, folder, url):
    ended = run("plan", env={"MOSAIC_API_URL": url, "MOSAIC_API_KEY": "mk_x"})
    assert ended.returncode == 1
    assert "error[api_url_invalid]: MOSAIC_API_URL is" in ended.stderr


@pytest.mark.parametrize("arguments", [["plan"], ["status", "."], ["apply", "--yes"]])
def test_without_a_key_login_and_local_are_suggested(run, folder, arguments):
    ended = run(*arguments, "-o", "json")
    command = " ".join(["mosaic-deploy", *arguments, "-o json"])
    actions = json.loads(ended.stdout)["error"]["next_actions"]
    assert [action["command"] for action in actions] == [
        "mosaic-deploy login -o json",
        f"{command} --local",
    ]


def test_a_stopped_local_platform_is_reported(tmp_path):
    """The hint names the platform, not the network."""
    from mosaic_deploy.cli.next_commands import Scope
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import Target
    from mosaic_deploy.errors import Unreachable
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api
    from mosaic_deploy.live.api.projects import read_projects
    from mosaic_deploy.model.manifest import Manifest

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = Api(f"http://127.0.0.1:{taken.getsockname()[1]}", ApiKey("mk_x"), sleep=lambda _: None)
    manifest = Manifest(tmp_path / "mosaic.yaml")
    session = Session(manifest, api, Target(None, "x"), Scope(local=True))
    with pytest.raises(Unreachable) as caught, session:
        read_projects(api)
    assert caught.value.hint == "the embedded platform stopped while this command ran"
    commands = [action.command for action in caught.value.next_actions]
    assert commands == ["mosaic-deploy local status", "mosaic-deploy local start"]
