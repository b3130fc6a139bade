"""How validate, plan and apply check files: secrets, sizes, names, skipped files."""

from __future__ import annotations

import json
import os

import pytest

SECRET = "q7Zx8Kq2Lw9Rt4Yv7Bn3Mc6Pd1Fs5Gh0JkUeWaTiOo2S"
KEY = "mk_" + SECRET[:43]
URL = "postgres://app:" + SECRET[:20] + "@db.prod/app"


@pytest.mark.parametrize("command", [["validate"], ["plan", "--local"], ["apply", "--local", "--yes"]])
@pytest.mark.parametrize("form", ["text", "json", "ndjson"])
def test_a_secret_stops_every_command_and_is_never_shown(run, folder, command, form):
    (folder / "public/app.js").write_text(f"// é {URL}\nlet key = '{KEY}'\n")
    ended = run(*command, "--output", form, env={"MOSAIC_DEBUG": "1"})
    assert ended.returncode == 1
    said = ended.stdout + ended.stderr
    assert "secret_found" in said
    assert not any(SECRET[at : at + 6] in said for at in range(len(SECRET) - 6))
    if form == "text":
        assert "public/app.js:1:6 looks like a database URL with its password\n" in said
        assert "public/app.js:2:12 looks like a Mosaic API key\n" in said
        assert "static.allow_secrets" in said
    else:
        error = json.loads(ended.stdout.splitlines()[-1] if form == "ndjson" else ended.stdout)
        found = [p["location"] for p in (error.get("error") or error)["problems"]]
        assert found == [
            {"file": "public/app.js", "line": 1, "column": 6},
            {"file": "public/app.js", "line": 2, "column": 12},
        ]


def test_a_second_manifest_is_noted(run, folder):
    (folder / "mosaic.yml").write_text("version: 1\nproject:\n  name: another\n")
    document = json.loads(run("validate", "-o", "json").stdout)
    assert [note["code"] for note in document["notes"]] == ["manifest_twice"]
    assert "mosaic.yaml is used and mosaic.yml is ignored" in run("plan", "--local").stdout
    assert json.loads(run("validate", "mosaic.yml", "-o", "json").stdout)["notes"] == []


def test_a_migration_that_changes_the_tracking_tables_is_refused(run, folder):
    (folder / "sql/2_gone.sql").write_text("create table x (id int);\nDROP SCHEMA mosaic_deploy CASCADE;\n")
    for command in (["validate"], ["migrate", "lint"], ["plan", "--local"], ["apply", "--local", "--yes"]):
        ended = run(*command)
        assert ended.returncode == 1
        assert "error[migration_invalid]: 1 migration can't be applied as written" in ended.stderr
        assert "sql/2_gone.sql:2:1 changes schema mosaic_deploy" in ended.stderr


def test_an_allowed_secret_passes(run, folder):
    (folder / "public/keys.html").write_text(KEY)
    text = (folder / "mosaic.yaml").read_text()
    (folder / "mosaic.yaml").write_text(
        text.replace("dir: public\n", "dir: public\n  allow_secrets: [/keys.html]\n")
    )
    assert run("validate").returncode == 0


def test_secrets_of_both_sections_are_reported_together(run, folder):
    (folder / "public/a.js").write_text(KEY)
    (folder / "assets").mkdir()
    (folder / "assets/b.bin").write_text(KEY)
    (folder / "assets/prod.env").write_text("A=1")
    with (folder / "mosaic.yaml").open("a") as file:
        file.write("storage:\n  dir: assets\n")
    said = run("validate").stderr
    assert "public/a.js:1:1 looks like a Mosaic API key\n" in said
    assert "assets/b.bin:1:1 looks like a Mosaic API key\n" in said
    assert "assets/prod.env: looks like a .env file\n" in said
    assert "static.allow_secrets or storage.allow_secrets" in said


def test_a_too_large_static_file_is_found_before_uploading(run, folder):
    """The limit comes from the platform, so `validate` doesn't know it."""
    with (folder / "public/big.json").open("wb") as file:
        os.truncate(file.fileno(), 25 * 1024 * 1024 + 1)
    assert run("validate").returncode == 0
    ended = run("plan", "--local")
    assert ended.returncode == 1
    assert (
        "public/big.json: is 26,214,401 bytes; this platform accepts static files up to 26,214,400 bytes"
        in ended.stderr
    )
    assert "set `unsupported: storage` under static to serve it from storage" in ended.stderr
    os.truncate(folder / "public/big.json", 25 * 1024 * 1024)
    assert run("plan", "--local").returncode == 0


def test_unsupported_file_types_are_found_with_hints(run, folder):
    (folder / "public/font.woff2").write_bytes(b"\0")
    ended = run("validate")
    assert ended.returncode == 1
    assert "public/font.woff2: static hosting doesn't serve .woff2 files" in ended.stderr
    assert "exclude: [" in ended.stderr
    assert "storage" in ended.stderr


def test_validate_shows_skipped_files_and_notes(run, folder):
    (folder / ".mosaicignore").write_text("*.map\npublic/drafts\n")
    for name in ("a.js.map", "drafts/b.html", "drafts/c.html", "Logo.png", "logo.png"):
        (folder / "public" / name).parent.mkdir(exist_ok=True)
        (folder / "public" / name).write_text("x")
    text = run("validate").stdout.splitlines()
    assert text == [
        "  ! Logo.png and logo.png differ only in case and will collide on macOS and Windows",
        "  i static: 2 excluded by .mosaicignore (a.js.map, drafts/)",
        "mosaic.yaml is valid: 1 migration, 3 static files, 0 storage files.",
    ]
    for form in ("json", "ndjson"):
        ended = run("validate", "--output", form)
        document = json.loads(ended.stdout.splitlines()[-1] if form == "ndjson" else ended.stdout)
        assert (document["static"], document["ignored"]) == (3, 2)
        assert [note["code"] for note in document["notes"]] == ["names_alike", "files_left_out"]
    planned = run("plan", "--local").stdout
    assert "differ only in case" in planned
    assert "static: 2 excluded by .mosaicignore" in planned


def test_invalid_patterns_have_a_location(run, folder):
    (folder / ".mosaicignore").write_text("*.map\n[z-a]\n")
    said = run("validate").stderr
    assert ".mosaicignore:2:1 invalid pattern" in said
    assert "    2 | [z-a]" in said
    (folder / ".mosaicignore").unlink()
    text = (folder / "mosaic.yaml").read_text()
    (folder / "mosaic.yaml").write_text(
        text.replace("dir: public\n", 'dir: public\n  exclude: ["*.map", "!"]\n')
    )
    said = run("validate").stderr
    assert "error[manifest_invalid]" in said
    assert "mosaic.yaml:6:22 static.exclude[1]: invalid pattern" in said


def test_the_cache_folder_can_be_set_and_deleted(run, folder, tmp_path):
    assert run("validate", env={"MOSAIC_CACHE": str(tmp_path / "here")}).returncode == 0
    os.utime(folder / "public/index.html", (0, 0))
    (tmp_path / "file").write_text("")
    for where in ("/dev/null", str(tmp_path / "file"), str(tmp_path / "file" / "below")):
        ended = run("validate", env={"MOSAIC_CACHE": where})
        assert (ended.returncode, ended.stderr) == (0, "")


def _everything_wrong(folder) -> None:
    """Two links out of the folder, a kind that isn't served, a secret, a misnamed migration, two syntax errors."""
    (folder / "public/out.html").symlink_to("/etc/hostname")
    (folder / "public/paper.pdf").write_bytes(b"%PDF")
    (folder / "public/key.js").write_text(KEY)
    (folder / "sql/create.sql").write_text("select 1;")
    (folder / "sql/2_bad.sql").write_text("creat table x (id int);")
    (folder / "sql/3_bad.sql").write_text("select 1;\nselekt 2;")


FILES = {
    ("source_refused", "public/out.html", "links out of the project folder"),
    ("source_refused", "public/paper.pdf", "static hosting doesn't serve .pdf files"),
    ("secret_found", "public/key.js", "looks like a Mosaic API key"),
    ("migration_invalid", "sql/create.sql", "the name doesn't start with a version number"),
}


def _told(error: dict) -> set[tuple[str, str, str]]:
    return {(p.get("code", error["code"]), p["location"]["file"], p["message"]) for p in error["problems"]}


def test_errors_of_all_kinds_are_reported_together(run, folder):
    _everything_wrong(folder)
    error = json.loads(run("validate", "-o", "json").stdout)["error"]
    told = _told(error)
    assert told >= FILES
    sql = [
        (p["location"]["file"], p["location"]["line"]) for p in error["problems"] if "syntax" in p["message"]
    ]
    assert sql == [("sql/2_bad.sql", 1), ("sql/3_bad.sql", 2)]
    assert len(told) == len(FILES) + 2
    text = run("validate").stderr
    assert "public/paper.pdf: static hosting doesn't serve .pdf files (source_refused)" in text
    assert "exclude: [" in text
    assert "static.allow_secrets" in text
    planned = json.loads(run("plan", "--local", "-o", "json").stdout)["error"]
    assert _told(planned) == FILES


def test_manifest_errors_are_reported_with_file_errors(run, folder):
    _everything_wrong(folder)
    with (folder / "mosaic.yaml").open("a") as file:
        file.write("colour: red\nverify:\n  http: 5\n")
    error = json.loads(run("validate", "-o", "json").stdout)["error"]
    assert error["code"] == "manifest_invalid"
    told = _told(error)
    assert told >= FILES
    assert {p["field"] for p in error["problems"] if "code" not in p} == {"colour", "verify.http"}
    assert len([p for p in error["problems"] if "syntax" in p["message"]]) == 2


def test_the_files_of_an_invalid_section_are_not_checked(run, folder):
    """Without the misspelled pattern, files would be reported that are excluded."""
    (folder / "public/paper.pdf").write_bytes(b"%PDF")
    (folder / "sql/2_bad.sql").write_text("creat table x (id int);")
    text = (folder / "mosaic.yaml").read_text()
    (folder / "mosaic.yaml").write_text(text.replace("dir: public\n", 'dir: public\n  exlude: ["*.pdf"]\n'))
    error = json.loads(run("validate", "-o", "json").stdout)["error"]
    assert [(p["location"]["file"], p.get("code")) for p in error["problems"]] == [
        ("mosaic.yaml", None),
        ("sql/2_bad.sql", "migration_invalid"),
    ]


def test_invalid_yaml_is_the_only_error(run, folder):
    _everything_wrong(folder)
    (folder / "mosaic.yaml").write_text("version: 1\nstatic: {dir: public\n")
    error = json.loads(run("validate", "-o", "json").stdout)["error"]
    assert {p["location"]["file"] for p in error["problems"]} == {"mosaic.yaml"}


@pytest.mark.parametrize("after", ["", "select 1;"])
def test_a_file_that_rolls_back_says_so(run, folder, after):
    (folder / "sql/1_t.sql").write_text(f"begin;\ncreate table t (id int);\nrollback;\n{after}")
    warning = "1_t.sql:3: ROLLBACK undoes everything since BEGIN, so none of it is run"
    nothing = "runs no SQL statement: it will be recorded as applied and do nothing"
    checked, planned = (run(*words, "-o", "json") for words in (["validate"], ["plan", "--local"]))
    assert [note["message"] for note in json.loads(checked.stdout)["notes"]] == [warning]
    document = json.loads(planned.stdout)
    assert warning in [note["message"] for note in document["notes"]]
    found = [hazard["message"] for hazard in document["hazards"]]
    assert found == ([] if after else [nothing])
