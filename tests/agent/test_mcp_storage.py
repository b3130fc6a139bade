"""Storage files over MCP: what an agent can publish, and what needs a person."""

from __future__ import annotations

from pathlib import Path

from mcp import Client

from tests.agent.calls import call

HERE = {"local": True}


def test_an_agent_publishes_new_files_and_changes_none(session, folder: Path) -> None:
    (folder / "a.txt").write_text("one")
    (folder / "b.bin").write_bytes(b"\xff\xfe")

    async def conversation(client: Client) -> None:
        async def refused(tool: str, code: str, **arguments: object) -> dict:
            error = (await call(client, tool, **arguments, **HERE))["error"]
            assert error["code"] == code, error
            return error

        planned = await call(client, "plan", **HERE)
        await call(client, "apply", fingerprint=planned["fingerprint"], **HERE)
        shown = await call(client, "upload_storage", files=["a.txt"], to="docs/", dry_run=True, **HERE)
        assert (shown["summary"], shown["needs_person"]) == ({"add": 1, "change": 0, "destroy": 0}, [])
        sent = await call(client, "upload_storage", files=["a.txt", "b.bin"], to="docs/", **HERE)
        assert "files" in sent, sent
        files = sent["files"]
        assert [(each["filename"], each["action"]) for each in files] == [
            ("docs/a.txt", "add"),
            ("docs/b.bin", "add"),
        ]
        listed = await call(client, "list_storage", prefix="docs/", limit=1, **HERE)
        assert (listed["total"], [each["url"] for each in listed["files"]]) == (2, [files[0]["url"]])
        read = await call(client, "read_storage_file", name="docs/a.txt", **HERE)
        assert (read["text"], read["url"]) == ("one", files[0]["url"])
        assert (await call(client, "read_storage_file", name="docs/b.bin", **HERE))["text"] is None
        await refused("read_storage_file", "storage_file_missing", name="docs/")
        (folder / "a.txt").write_text("two")
        error = await refused("upload_storage", "overwrite_unconfirmed", files=["a.txt"], to="docs/")
        [action] = error["next_actions"]
        assert action["needs_person"]
        assert f"storage put {folder / 'a.txt'} --to docs/ --local --in {folder}" in action["command"]
        error = await refused("delete_storage", "prune_unconfirmed", names=["docs/*"])
        assert "build" not in error["hint"]
        await refused("delete_storage", "usage")
        shown = await call(client, "delete_storage", names=["docs/b.bin"], dry_run=True, **HERE)
        assert [each["value"] for each in shown["needs_person"]] == ["prune=1"]
        assert (await call(client, "read_storage_file", name="docs/a.txt", **HERE))["text"] == "one"

    session(conversation, "--allow", "prune", "--allow", "overwrite")


def test_with_consent_an_agent_deletes_what_the_manifest_left(session, folder: Path) -> None:
    (folder / "assets").mkdir()
    for name in "abcde":
        (folder / f"assets/{name}.png").write_text(name)
    (folder / "mosaic.yaml").write_text((folder / "mosaic.yaml").read_text() + "storage:\n  dir: assets\n")

    def conversation(expected: dict | str):
        async def converse(client: Client) -> None:
            planned = await call(client, "plan", **HERE)
            await call(client, "apply", fingerprint=planned["fingerprint"], **HERE)
            (folder / "assets/e.png").unlink(missing_ok=True)
            deleted = await call(client, "delete_storage", left=True, **HERE)
            assert (deleted["error"]["code"] if "error" in deleted else deleted["deleted"]) == expected

        return converse

    session(conversation("prune_unconfirmed"))
    session(conversation(["e.png"]), "--allow", "prune")


def test_only_visible_files_below_the_root_without_secrets_are_published(session, folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("x")
    (folder / "link").symlink_to(".git/config")
    (folder / "out").symlink_to(folder.parent)
    (folder / "key.txt").write_text(
        "AKIA" + "IOSFODNN7EXAMPLA" + "\n-----BEGIN RSA " + "PRIVATE KEY-----\n" + "M" * 64
    )

    async def conversation(client: Client) -> None:
        for file, code in (
            (".git/config", "source_refused"),
            ("link", "source_refused"),
            ("../x.txt", "usage"),
            ("/etc/hostname", "usage"),
            ("out/x.txt", "usage"),
            ("public", "source_refused"),
            ("missing.txt", "source_unreadable"),
            ("key.txt", "secret_found"),
        ):
            error = (await call(client, "upload_storage", files=[file], **HERE))["error"]
            assert (file, error["code"]) == (file, code)

    session(conversation)
