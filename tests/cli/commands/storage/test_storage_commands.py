"""`storage put`, `get`, `rm` and `url` as users run them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import read_json

HERE = ("--local",)


def _json(run, *words: str):
    return read_json(run("storage", *words, *HERE, "-o", "json"))


def test_a_file_goes_up_and_comes_back(run, deployed: Path) -> None:
    name = "it's a photo.jpg"
    (deployed / name).write_text("1")
    (deployed / "-x.txt").write_text("2")
    missing = run("storage", "url", name, *HERE)
    assert missing.returncode == 1
    assert "error[storage_file_missing]: not in storage" in missing.stderr
    put = run("storage", "put", name, *HERE)
    url = put.stdout.split()[-4]
    assert put.stdout.splitlines() == [f"  {name}  {url}", "1 file uploaded"]
    # The error said before where the file would be.
    assert f"its URL is {url}" in missing.stderr.replace("\n", " ")
    assert run("storage", "url", name, *HERE).stdout == f"{url}\n"
    again = read_json(run("storage", "put", *HERE, "-o", "json", "--", "-x.txt", name))["files"]
    assert [(each["filename"], each["action"]) for each in again] == [("-x.txt", "add"), (name, "unchanged")]
    assert _json(run, "get", "*", "--to", "back")["files"][0]["path"] == "back/-x.txt"
    assert (deployed / "back" / name).read_text() == "1"
    (deployed / "back" / name).write_text("3")
    refused = run("storage", "get", name, "--to", "back", *HERE)
    assert "error[confirmation_required]" in refused.stderr
    assert (deployed / "back" / name).read_text() == "3"
    shown = _json(run, "get", name, "--to", "back", "--dry-run")
    assert (shown["dry_run"], [each["overwritten"] for each in shown["files"]]) == (True, [True])
    assert run("storage", "get", name, "--to", "back", "--yes", *HERE).returncode == 0
    assert (deployed / "back" / name).read_text() == "1"
    assert [note["code"] for note in read_json(run("plan", *HERE, "-o", "json"))["notes"]] == []


def test_what_is_live_changes_only_with_approval(run, deployed: Path) -> None:
    photo = deployed / "a.txt"
    photo.write_text("1")
    assert run("storage", "put", "a.txt", *HERE).returncode == 0
    photo.write_text("22")
    for words, allow, code in (
        (("put", "a.txt"), "overwrite=1", "overwrite_unconfirmed"),
        (("rm", "a.txt", "--yes"), "prune=1", "prune_unconfirmed"),
    ):
        refused = run("storage", *words, *HERE, "-o", "json")
        error = json.loads(refused.stdout)["error"]
        assert (refused.returncode, error["code"]) == (1, code)
        assert "build failed" not in error["hint"]
        [action] = error["next_actions"]
        assert action["needs_person"]
        assert action["command"].endswith(f"--allow {allow}")
        assert run("storage", *words, *HERE, "--allow", allow).returncode == 0
    planned = _json(run, "put", "a.txt", "--dry-run")
    assert (planned["type"], len(planned["changes"])) == ("plan", 1)
    assert _json(run, "ls")["files"] == []
    events = run("storage", "put", "a.txt", *HERE, "-o", "ndjson").stdout.splitlines()
    types = [json.loads(line)["type"] for line in events]
    assert (types[0], types[-1], "change_done" in types) == ("version", "storage_put", True)
    assert run("storage", "rm", "--left", "--yes", *HERE).stdout == "nothing to delete\n"


def test_status_and_validate_tell_of_storage(run, folder: Path) -> None:
    manifest = folder / "mosaic.yaml"
    before = manifest.read_text()
    (folder / "assets").mkdir()
    for number in range(4):
        (folder / f"assets/{number}.txt").write_text("1")
    manifest.write_text(f"{before}storage:\n  dir: assets\n  prefix: a b/\n")
    assert "below the site's URL: /storage/NAME;" in run("validate").stdout
    paths = read_json(run("validate", "-o", "json"))["storage_paths"]
    assert paths["a b/0.txt"] == "/storage/a%20b/0.txt"
    assert "      at /storage/NAME of the site\n" in run("plan", *HERE).stdout
    applied = read_json(run("apply", *HERE, "--yes", "-o", "json"))
    assert applied["plan"]["storage_urls"]["a b/0.txt"] == "/storage/a%20b/0.txt"
    manifest.write_text(before)
    status = read_json(run("status", *HERE, "-o", "json"))
    assert [note["code"] for note in status["notes"]] == ["storage_section_removed"]
    assert status["storage"]["files"] == 4
    assert "`mosaic-deploy storage rm --left --local` deletes them" in run("status", *HERE).stdout.replace(
        "\n    ", " "
    )
    assert "4 files deleted" in run("storage", "rm", "--left", "--yes", "--allow", "prune=4", *HERE).stdout
    assert read_json(run("status", *HERE, "-o", "json"))["notes"] == []
