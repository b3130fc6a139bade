"""Errors over stdio: the same fields as on the command line, with commands that can be run."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from mcp import Client

from mosaic_deploy.model.command_line import program_words
from tests.agent.calls import call
from tests.failing_platform import SECRETS, failing_platform
from tests.offered_commands import parse


def _commands(error: dict) -> list[str]:
    return [action["command"] for action in error["next_actions"]]


def test_an_unknown_argument_is_refused_with_a_suggestion(session) -> None:
    async def conversation(client: Client) -> None:
        for tool, given, expected in (
            ("plan", {"enviroment": "staging"}, "did you mean 'environment'?"),
            ("plan", {"env": "staging"}, "did you mean 'environment'?"),
            ("apply", {"fingerprint": "x", "project": "p"}, "did you mean 'project_id'?"),
            ("validate", {"local": True}, "unknown argument 'local'"),
            ("inbox", {"limit": 3}, "unknown argument 'limit'"),
        ):
            error = (await call(client, tool, **given))["error"]
            assert error["code"] == "usage"
            assert expected in error["message"]

    session(conversation)


def test_schemas_forbid_other_arguments_and_describe_all(session) -> None:
    async def conversation(client: Client) -> None:
        for tool in (await client.list_tools()).tools:
            assert tool.input_schema["additionalProperties"] is False
            for name, argument in tool.input_schema["properties"].items():
                assert argument.get("description"), f"{tool.name}.{name}"

    session(conversation)


def test_invalid_values_are_refused_and_not_repeated(session) -> None:
    async def conversation(client: Client) -> None:
        missing = (await call(client, "apply"))["error"]
        assert missing["message"] == "apply: 'fingerprint' is required"
        wrong = (await call(client, "query", sql="select 1", limit="hunter2"))["error"]
        assert wrong["code"] == "usage"
        assert "'limit'" in wrong["message"]
        assert "hunter2" not in wrong["message"]
        assert "did you mean 'plan'?" in (await call(client, "plann"))["error"]["message"]

    session(conversation)


def test_without_a_key_the_hint_is_for_agents(session, folder: Path) -> None:
    async def conversation(client: Client) -> None:
        for tool in ("plan", "list_projects"):
            error = (await call(client, tool))["error"]
            assert error["code"] == "key_missing"
            assert "local: true" in error["hint"]
            assert _commands(error) == ["mosaic-deploy login"]

    session(conversation)


def test_suggested_commands_have_their_scope_once(session, folder: Path) -> None:
    inner = folder / "an app"
    inner.mkdir()
    for name in ("public", "sql", "mosaic.yaml"):
        (folder / name).rename(inner / name)

    async def conversation(client: Client) -> None:
        here = {"local": True, "path": "an app"}
        planned = await call(client, "plan", **here)
        await call(client, "apply", **here, fingerprint=planned["fingerprint"])
        (inner / "sql/2_drop.sql").write_text("drop table t;")
        planned = await call(client, "plan", **here)
        refused = await call(client, "apply", **here, fingerprint=planned["fingerprint"])
        stale = await call(client, "apply", **here, fingerprint="0" * 64)
        for error, name in ((refused["error"], "apply"), (stale["error"], "plan")):
            [command] = _commands(error)
            program, tool, *arguments = program_words(command)
            assert (program, tool, arguments) == ("mosaic-deploy", name, ["--local", str(inner)])
            context = parse([tool, *arguments])
            assert context.params["local"]
            assert context.params["path"] == str(inner)

    session(conversation)


def test_a_failed_apply_suggests_a_command_with_its_scope(session, folder: Path) -> None:
    (folder / "sql/2_bad.sql").write_text("select nothing();")

    async def conversation(client: Client) -> None:
        planned = await call(client, "plan", local=True)
        failed = await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        assert failed["error"]["code"] == "migration_failed"
        assert _commands(failed["error"]) == [f"mosaic-deploy apply --local {folder}"]
        stale = (await call(client, "apply", local=True, fingerprint=planned["fingerprint"]))["error"]
        assert stale["code"] == "plan_stale"
        assert not stale["retryable"]
        assert "call plan again" in stale["hint"]

    session(conversation)


def test_an_applied_plan_is_reported_as_already_applied(session, folder: Path) -> None:
    async def conversation(client: Client) -> None:
        planned = await call(client, "plan", local=True)
        applied = await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        again = await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        assert again["error"] is None
        assert again["already_applied"]
        assert again["done"] == []
        assert again["deploy"]["status"] == "done"
        assert again["project"]["id"] == applied["project"]["id"]
        # Now that plan was applied, but isn't the current state.
        (folder / "public/index.html").write_text("<h1>another")
        stale = (await call(client, "apply", local=True, fingerprint=planned["fingerprint"]))["error"]
        assert stale["code"] == "plan_stale"
        assert f"(deploy {again['deploy']['id']})" in stale["message"]
        newer = await call(client, "plan", local=True)
        await call(client, "apply", local=True, fingerprint=newer["fingerprint"])
        older = await call(client, "apply", local=True, fingerprint=planned["fingerprint"])
        assert older["error"]["code"] == "plan_stale"

    session(conversation)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("sql_syntx", "sql_invalid"), ("lock_hold", "lock_held"), ("drop_tables", "drop_table")],
)
def test_similar_codes_are_suggested(session, code: str, expected: str) -> None:
    async def conversation(client: Client) -> None:
        error = (await call(client, "explain", code=code))["error"]
        assert error["code"] == "usage"
        assert f"unknown code {code!r}; did you mean " in error["message"]
        assert f"mosaic-deploy explain {expected}" in _commands(error)

    session(conversation)


def test_a_network_failure_offers_no_ticket(session, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (folder / ".env").write_text(
            f"MOSAIC_API_KEY=mk_x\nMOSAIC_API_URL=http://127.0.0.1:{taken.getsockname()[1]}\n"
        )

        async def conversation(client: Client) -> None:
            error = (await call(client, "list_projects"))["error"]
            assert error["code"] == "unreachable"
            assert error["next_actions"] == []

        session(conversation)


def test_a_platform_failure_offers_a_ticket(session, folder: Path) -> None:
    with failing_platform(503) as platform:
        (folder / ".env").write_text(f"MOSAIC_API_KEY=mk_mine\nMOSAIC_API_URL={platform.url}\n")

        async def conversation(client: Client) -> None:
            for tool in ("list_projects", "plan"):
                error = (
                    await call(client, tool, **({} if tool == "list_projects" else {"project_id": "a-1"}))
                )["error"]
                assert error["code"] == "server_failed"
                [command] = _commands(error)
                words = program_words(command)
                assert words[:2] == ["mosaic-deploy", "ticket"]
                message = words[words.index("--message") + 1]
                assert f"Tried: the tool {tool} of mosaic-deploy mcp." in message
                assert not any(secret in message for secret in SECRETS)
            assert platform.tickets == []

        session(conversation)
