"""Suggested commands get the options that select the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.cli.next_commands import Scope
from mosaic_deploy.errors import NextAction
from mosaic_deploy.model.command_line import program_words, with_approvals, with_options
from tests.offered_commands import parse

_SCOPE = Scope(local=True, environment="staging", project_id="a-1", path="an app")
_ALL = "--local --env staging --project a-1"


@pytest.mark.parametrize(
    ("command", "whole"),
    [
        ("mosaic-deploy apply", f"mosaic-deploy apply {_ALL} 'an app'"),
        (
            "mosaic-deploy apply --local 'an app'",
            "mosaic-deploy apply --local 'an app' --env staging --project a-1",
        ),
        ("mosaic-deploy plan --project b", "mosaic-deploy plan --project b --local --env staging 'an app'"),
        ("mosaic-deploy plan other", "mosaic-deploy plan other --local --env staging --project a-1"),
        ("mosaic-deploy validate", "mosaic-deploy validate --env staging 'an app'"),
        ("mosaic-deploy history", f"mosaic-deploy history {_ALL} 'an app'"),
        ("mosaic-deploy storage ls", f"mosaic-deploy storage ls {_ALL} --in 'an app'"),
        ("mosaic-deploy sql -- 'select 1'", f"mosaic-deploy sql {_ALL} --in 'an app' -- 'select 1'"),
        ("MOSAIC_API_KEY=x mosaic-deploy status", f"MOSAIC_API_KEY=x mosaic-deploy status {_ALL} 'an app'"),
        ("mosaic-deploy local status", "mosaic-deploy local status"),
        ("mosaic-deploy explain lock_held", "mosaic-deploy explain lock_held"),
        ("mosaic-deploy nothing", "mosaic-deploy nothing"),
        ("mosaic-deploy 'open quote", "mosaic-deploy 'open quote"),
        ("git push", "git push"),
    ],
)
def test_a_command_gets_the_options_that_it_accepts_and_lacks(command: str, whole: str) -> None:
    assert _SCOPE.add_scope(command) == whole
    assert _SCOPE.add_scope(whole) == whole, "and nothing twice"


_WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1).filter(
    lambda word: word.strip() and not word.startswith("-")
)


@given(_WORDS, _WORDS, _WORDS)
def test_any_name_is_quoted_correctly(environment: str, project: str, path: str) -> None:
    scope = Scope(local=True, environment=environment, project_id=project, path=path)
    for command, option in (("apply", False), ("sql -f x.sql", True)):
        whole = scope.add_scope(f"mosaic-deploy {command}")
        context = parse(program_words(whole)[1:])
        assert context
        said = context.params
        assert (said["local"], said["environment"], said["project_id"], said["path"]) == (
            True, environment, project, path,
        ), option  # fmt: skip
        assert scope.add_scope(whole) == whole


def test_options_are_added_before_a_double_dash() -> None:
    assert with_options("A='b c' mosaic-deploy sql -- 'select 1'", "--yes") == (
        "A='b c' mosaic-deploy sql --yes -- 'select 1'"
    )
    assert with_options("mosaic-deploy apply", "--allow", "prune=3") == "mosaic-deploy apply --allow prune=3"
    assert with_options("mosaic-deploy apply") == "mosaic-deploy apply"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("mosaic-deploy apply", "mosaic-deploy apply --allow prune=4"),
        ("mosaic-deploy apply --allow prune=3 --yes", "mosaic-deploy apply --yes --allow prune=4"),
        ("mosaic-deploy apply --allow=prune=3", "mosaic-deploy apply --allow prune=4"),
        ("A='b c' mosaic-deploy apply --allow prune=3", "A='b c' mosaic-deploy apply --allow prune=4"),
        (
            "mosaic-deploy apply --allow overwrite=3 --allow destructive",
            "mosaic-deploy apply --allow overwrite=3 --allow destructive --allow prune=4",
        ),
    ],
)
def test_an_approval_replaces_the_one_with_another_number(command: str, expected: str) -> None:
    assert with_approvals(command, ["prune=4"]) == expected


def test_a_missing_key_suggests_valid_commands(run, folder: Path) -> None:
    ended = run("sql", "-o", "json", "--", "select 1")
    actions = json.loads(ended.stdout)["error"]["next_actions"]
    assert [action["command"] for action in actions] == [
        "mosaic-deploy login -o json",
        "mosaic-deploy sql -o json --local -- 'select 1'",
    ]


@pytest.mark.parametrize(
    ("command", "whole"),
    [
        ("mosaic-deploy apply", "mosaic-deploy apply --local -o ndjson"),
        ("mosaic-deploy apply -o json", "mosaic-deploy apply -o json --local"),
        ("mosaic-deploy apply --output=text", "mosaic-deploy apply --output=text --local"),
        ("mosaic-deploy sql -- 'select 1'", "mosaic-deploy sql --local -o ndjson -- 'select 1'"),
        ("mosaic-deploy local logs", "mosaic-deploy local logs"),
        ("mosaic-deploy local reset x --yes", "mosaic-deploy local reset x --yes -o ndjson"),
    ],
)
def test_suggested_commands_get_the_output_format(command: str, whole: str) -> None:
    scope = Scope(local=True, output="ndjson")
    assert scope.add_scope(command) == whole
    assert scope.add_scope(whole) == whole


@pytest.mark.parametrize(
    ("output", "needs_person", "whole"),
    [
        ("json", False, "mosaic-deploy apply -o json --yes"),
        ("json", True, "mosaic-deploy apply -o json"),
        ("text", False, "mosaic-deploy apply"),
    ],
)
def test_a_program_can_run_what_needs_no_person(output: str, needs_person: bool, whole: str) -> None:
    """It can't answer the question that the command would ask."""
    action = NextAction("go on", "mosaic-deploy apply", needs_person=needs_person)
    [completed] = Scope(output=output).add_scope_to_actions([action])
    assert completed.command == whole
    [again] = Scope(output=output).add_scope_to_actions([completed])
    assert again == completed


def test_commands_in_sentences_get_no_output_format() -> None:
    scope = Scope(local=True, output="json")
    assert scope.add_scope_to_text("`mosaic-deploy apply` does") == "`mosaic-deploy apply --local` does"


@pytest.mark.parametrize(
    "words",
    [["local", "reset"], ["apply", "--local"], ["validate", "nowhere"], ["status"]],
)
def test_suggested_commands_of_errors_keep_the_format(run, folder: Path, words: list[str]) -> None:
    _check_formats(json.loads(run(*words, "-o", "json").stdout)["error"])


def test_suggestions_for_a_diverged_history_keep_the_format(run, folder: Path) -> None:
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "sql/1_t.sql").write_text("create table t (id bigint);")
    error = json.loads(run("plan", "--local", "-o", "json").stdout)["error"]
    assert error["code"] == "migration_diverged"
    _check_formats(error)
    lines = json.loads(run("migrate", "status", "--local", "-o", "json").stdout)["migrations"]
    _check_formats(lines[0])


def _check_formats(document: dict[str, list[dict[str, str]]]) -> None:
    """Every suggested command has the output format once, except `schema`, which has no such option."""
    commands = [action["command"] for action in document["next_actions"]]
    assert commands
    assert all(each.count("-o json") == (each != "mosaic-deploy schema") for each in commands)
