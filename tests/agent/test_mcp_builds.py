"""What agents may do with a manifest's build, and with folders beside the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp import Client

from tests.agent.calls import call


@pytest.fixture
def built(folder: Path) -> Path:
    manifest = (folder / "mosaic.yaml").read_text()
    build = "build: {command: echo noise; mkdir -p dist; cp public/* dist/, output: dist}\nstatic: {}\n"
    (folder / "mosaic.yaml").write_text(manifest.replace("static:\n  dir: public\n", build))
    return folder


def test_a_build_isnt_run_for_an_agent(session, built: Path) -> None:
    async def conversation(client: Client) -> None:
        assert [tool.name for tool in (await client.list_tools()).tools if not tool.annotations.read_only_hint] == [
            "apply", "submit_ticket", "upload_storage", "delete_storage"
        ]  # fmt: skip
        assert (await call(client, "validate"))["valid"]
        for tool, more in (("plan", {}), ("apply", {"fingerprint": "x"})):
            error = (await call(client, tool, local=True, **more))["error"]
            assert error["code"] == "build_output_missing"
        (built / "dist").mkdir()
        (built / "dist/index.html").write_text("by the agent")
        plan = await call(client, "plan", local=True)
        assert [note["code"] for note in plan["notes"]] == ["not_built"]
        assert (await call(client, "apply", fingerprint=plan["fingerprint"], local=True))["error"] is None

    session(conversation)
    assert (built / "dist/index.html").read_text() == "by the agent"


def test_the_person_who_starts_the_server_can_allow_it(session, built: Path) -> None:
    async def conversation(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert not tools["plan"].annotations.read_only_hint
        plan = await call(client, "plan", local=True)
        assert plan["notes"] == []
        assert (built / "dist/index.html").read_text() == "<h1>hello"
        (built / "build.log").write_text("")
        manifest = (built / "mosaic.yaml").read_text()
        (built / "mosaic.yaml").write_text(manifest.replace("echo noise", "echo why; exit 3"))
        error = (await call(client, "plan", local=True))["error"]
        assert error["code"] == "build_failed"
        assert error["message"].endswith("ended with exit code 3:\n  why")

    session(conversation, "--build")


def test_folders_outside_the_root_are_refused(session, folder: Path) -> None:
    root = folder / "inside"
    (root / "web").mkdir(parents=True)
    (root / "web/index.html").write_text("")
    (folder / ".git").mkdir()

    async def conversation(client: Client) -> None:
        for name, refused in (("web", False), ("../public", True)):
            (root / "mosaic.yaml").write_text(f"version: 1\nproject: {{name: x}}\nstatic: {{dir: {name}}}\n")
            for tool in ("validate", "plan"):
                found = await call(client, tool, **({"local": True} if tool == "plan" else {}))
                assert (found.get("error") or {}).get("code") == ("usage" if refused else None)

    session(conversation, "--root", str(root))
