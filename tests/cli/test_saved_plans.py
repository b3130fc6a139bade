"""`plan --out` and `apply FILE`, as users and CI run them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import read_projects
from mosaic_deploy.schema_files import read_schema
from mosaic_deploy.source.plan_file import checksum

SCHEMA = jsonschema.Draft202012Validator(read_schema("plan.schema.json"))


@pytest.fixture
def live(run, folder: Path) -> Path:
    """A deployed project with one change pending."""
    done = run("apply", "--local", "--yes")
    assert done.returncode == 0, done.stderr
    (folder / "public/about.html").write_text("about")
    return folder


@pytest.fixture
def saved(run, live: Path) -> Path:
    """The live project's next plan, saved."""
    ended = run("plan", "--local", "--out", "plan.json")
    assert ended.returncode == 0, ended.stderr
    assert "mosaic-deploy apply plan.json" in ended.stderr
    return live / "plan.json"


@pytest.fixture
def refused(run, folder: Path, platform) -> Callable[..., dict[str, object]]:
    """Runs an apply that must change nothing. Returns its error."""
    name = yaml.safe_load((folder / "mosaic.yaml").read_text())["project"]["name"]

    def call(*arguments: str, **options: object) -> dict[str, object]:
        before = live_state(platform, name)
        ended = run("apply", *arguments, "-o", "json", **options)
        assert ended.returncode in (1, 2), ended.stdout
        error: dict[str, object] = json.loads(ended.stdout)["error"]
        assert error["mutation_state"] == "none"
        assert live_state(platform, name) == before
        return error

    return call


def live_state(platform, name: str) -> object:
    """The project's files, tables and deploys."""
    with Api(platform.url, ApiKey(platform.api_key)) as api:
        [project] = [one for one in read_projects(api) if one.name == name]
        files = api.call(endpoints.LIST_STATIC_FILES, project=project.id)
        tables = api.sql(project.id, "SELECT relname, oid FROM pg_class WHERE relkind = 'r' ORDER BY oid")
        deploys = api.sql(project.id, "SELECT * FROM mosaic_deploy.deploys ORDER BY 1")
        return files, tables, deploys


def test_a_saved_plan_is_applied_without_a_question(run, saved):
    ended = run("apply", "plan.json")
    assert ended.returncode == 0, ended.stderr
    assert "+ about.html" in ended.stdout
    assert "Applied in" in ended.stdout
    assert run("plan", "--local", "--detailed-exitcode").returncode == 0


def test_applying_a_saved_plan_twice_does_nothing_twice(run, saved, refused):
    assert run("apply", "plan.json").returncode == 0
    again = run("apply", "plan.json")
    assert (again.returncode, again.stdout[:11]) == (0, "No changes.")
    # … and is no licence for what came after.
    (saved.parent / "public/about.html").write_text("more")
    error = refused("plan.json")
    assert error["code"] == "saved_plan_stale"
    assert "this plan was already applied by " in str(error["message"])
    assert "about.html (edited)" in str(error["message"])


def test_a_first_deploy_can_be_saved(run, folder):
    assert run("plan", "--local", "--out", "plan.json").returncode == 0
    assert run("apply", "plan.json").returncode == 0
    assert run("apply", "plan.json").stdout.startswith("No changes.")
    assert run("plan", "--local", "--detailed-exitcode").returncode == 0


MOVED = {
    "a file edited": ("public/about.html", "edited", "static files: about.html (edited)"),
    "a file added": ("public/b's 🎉.html", "new", "static files: b's 🎉.html (new)"),
    "a file gone": ("public/about.html", None, "static files: about.html (deleted)"),
    "a migration edited": ("sql/1_t.sql", "create table t (id int); -- x", "migration 1_t.sql was edited"),
    "a migration added": ("sql/2_u.sql", "create table u (id int);", "migration 2_u.sql is new"),
}


@pytest.mark.parametrize(("path", "content", "said"), MOVED.values(), ids=MOVED)
def test_changed_files_are_listed(saved, path, content, said, refused):
    if content is None:
        (saved.parent / path).unlink()
    else:
        (saved.parent / path).write_text(content)
    error = refused("plan.json")
    assert error["code"] == "saved_plan_stale"
    assert str(error["message"]).splitlines()[1:] == [f"  - {said}"]
    [action] = error["next_actions"]
    assert action["command"] == "mosaic-deploy plan --out plan.json --local -o json"


def test_a_changed_manifest_is_reported(saved, refused):
    with (saved.parent / "mosaic.yaml").open("a") as manifest:
        manifest.write("verify: {http: [{path: /}]}\npolicy: {max_deletes: 1}\n")
    error = refused("plan.json")
    assert str(error["message"]).splitlines()[1:] == [
        "  - mosaic.yaml, or a variable in it, changed under verify, policy"
    ]


def test_a_new_comment_in_the_manifest_is_no_change(run, saved):
    with (saved.parent / "mosaic.yaml").open("a") as manifest:
        manifest.write("# a comment\n")
    assert run("apply", "plan.json").returncode == 0


def test_a_deploy_in_between_is_reported(run, saved, refused):
    (saved.parent / "public/about.html").rename(saved.parent / "keep")
    (saved.parent / "public/index.html").write_text("other")
    assert run("apply", "--local", "--yes").returncode == 0
    (saved.parent / "public/index.html").write_text("<h1>hello")
    (saved.parent / "keep").rename(saved.parent / "public/about.html")
    error = refused("plan.json")
    [said] = str(error["message"]).splitlines()[1:]
    assert said.startswith("  - live: deployed since, most recently by ")
    assert "(done, 20" in said


def test_live_changes_without_a_deploy_are_reported(saved, environment, platform, refused):
    project = json.loads(saved.read_text())["project"]["id"]
    with Api(platform.url, ApiKey(platform.api_key)) as api:
        api.call(
            endpoints.UPLOAD_STATIC_FILE, project=project, body={"filename": "by-hand.html", "content": "x"}
        )
    error = refused("plan.json")
    assert str(error["message"]).splitlines()[1:] == ["  - live: static files changed without a deploy"]


def test_a_plan_without_changes(run, folder, refused):
    assert run("apply", "--local", "--yes").returncode == 0
    ended = run("plan", "--local", "--out", "plan.json", "--detailed-exitcode")
    assert ended.returncode == 0
    assert run("apply", "plan.json").stdout.startswith("No changes.")
    (folder / "public/new.html").write_text("x")
    assert refused("plan.json")["code"] == "saved_plan_stale"


OTHERS = {
    "--env": ("--env", "staging"),
    "--only": ("--only", "static"),
    "--except": ("--except", "static"),
    "--project": ("--project", "other-1a2"),
    "--allow-out-of-order": ("--allow-out-of-order",),
}


@pytest.mark.parametrize("words", OTHERS.values(), ids=OTHERS)
def test_options_that_do_not_match_are_refused(saved, words, refused):
    error = refused("plan.json", *words)
    assert error["code"] == "usage"
    assert f"doesn't match {words[0]};" in str(error["message"])


def test_matching_options_are_accepted(run, saved):
    project = json.loads(saved.read_text())["project"]["id"]
    assert run("apply", "plan.json", "--local", "--project", project).returncode == 0


def test_the_environment_is_saved_and_another_one_refused(run, live, refused):
    with (live / "mosaic.yaml").open("a") as manifest:
        manifest.write("environments:\n  staging: {static: {prune: true, keep: 0}}\n  live: {}\n")
    assert run("plan", "--local", "--env", "staging", "--out", "plan.json").returncode == 0
    error = refused("plan.json", env={"MOSAIC_ENV": "live"})
    assert error["message"] == "plan.json was made for staging, but MOSAIC_ENV is live"
    ended = run("apply", "plan.json", "-o", "json")
    assert json.loads(ended.stdout)["plan"]["environment"] == "staging"


def test_a_plan_for_an_account_keeps_its_url_and_project(run, live, platform, refused):
    account = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key}
    assert run("plan", "--out", "plan.json", env=account).returncode == 0
    text = (live / "plan.json").read_text()
    assert platform.api_key not in text
    project = json.loads(text)["project"]["id"]
    elsewhere = {**account, "MOSAIC_API_URL": platform.url.replace("127.0.0.1", "localhost")}
    assert "was made for" in str(refused("plan.json", env=elsewhere)["message"])
    other = {**account, "MOSAIC_PROJECT_ID": "other-1a2"}
    assert f"is for project {project}" in str(refused("plan.json", env=other)["message"])
    error = refused("plan.json", "--local")
    assert "doesn't match --local;" in str(error["message"])
    keyless = refused("plan.json")
    assert [action["command"] for action in keyless["next_actions"]] == ["mosaic-deploy login -o json"]
    assert run("apply", "plan.json", env=account).returncode == 0


def edited(document: dict) -> str:
    document["changes"][0]["path"] = "harmless.html"
    return json.dumps(document)


def newer(document: dict) -> str:
    return json.dumps({**document, "format": 2})


def forged(document: dict) -> str:
    document["changes"][0]["size"] = 1
    return json.dumps({**document, "checksum": checksum(document)})


def shapeless(document: dict) -> str:
    del document["saved"]["origin"]
    return json.dumps({**document, "checksum": checksum(document)})


DAMAGED = {
    "edited by hand": (edited, "plan_file_invalid", "was modified after it was written"),
    "cut off": (lambda d: json.dumps(d)[:400], "plan_file_invalid", "isn't a complete plan"),
    "cut off at once": (lambda d: json.dumps(d)[:20], "plan_file_invalid", "isn't a complete plan"),
    "of a newer format": (newer, "plan_file_invalid", "this version supports formats up to 1"),
    "edited with care": (forged, "saved_plan_stale", "the plan itself: static:about.html"),
    "another shape": (shapeless, "plan_file_invalid", "doesn't have the format of a saved plan"),
    "a name twice": (
        lambda d: json.dumps(d)[:-1] + ', "changes": []}', "plan_file_invalid", "duplicate name in an object",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "code", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_modified_plan_file_is_refused(saved, damage, code, said, refused):
    saved.write_text(damage(json.loads(saved.read_text())))
    error = refused("plan.json")
    assert (error["code"], said in str(error["message"])) == (code, True), error


def test_the_suggested_plan_command_is_complete(run, live, refused):
    """It has the file name and the options that select the project, even if the file has them."""
    with (live / "mosaic.yaml").open("a") as manifest:
        manifest.write("environments:\n  staging: {}\n")
    (live / "other.yaml").write_text((live / "mosaic.yaml").read_text())
    assert run("plan", "--local", "--env", "staging", "--out", "my plan.json", "other.yaml").returncode == 0
    file = live / "my plan.json"
    file.write_text(edited(json.loads(file.read_text())))
    [action] = refused("my plan.json")["next_actions"]
    made = "mosaic-deploy plan --out 'my plan.json'"
    assert action["command"] == f"{made} --local --env staging other.yaml -o json"
    file.write_text('{"mosaic_deploy": "1", "saved": {"local": [], "project": "\\u001b[2J", "manifest": {}}}')
    [action] = refused("my plan.json")["next_actions"]
    assert action["command"] == f"{made} -o json"
    file.write_text(file.read_text()[:30])
    [action] = refused("my plan.json", "--local")["next_actions"]
    assert action["command"] == f"{made} --local -o json"


@pytest.mark.parametrize("content", [None, "", "{}", '{"changes": []}'])
def test_a_file_that_is_not_a_plan_is_refused(live, content, refused):
    if content is not None:
        (live / "bad.json").write_text(content)
    error = refused("bad.json")
    assert error["code"] == "plan_file_invalid"
    assert [action["command"] for action in error["next_actions"]] == [
        "mosaic-deploy plan --out bad.json -o json"
    ]


@pytest.mark.parametrize("command", ["plan", "validate", "status"])
def test_other_commands_refuse_a_saved_plan_as_a_manifest(run, saved, command):
    ended = run(command, "plan.json")
    assert ended.returncode == 1
    assert (
        "plan.json: this is a plan, not a manifest; only `mosaic-deploy apply` takes a plan" in ended.stderr
    )
    assert "unknown field" not in ended.stderr


def test_json_layout_does_not_matter(run, saved):
    saved.write_text(json.dumps(json.loads(saved.read_text()), sort_keys=True))
    assert run("apply", "plan.json").returncode == 0


def test_plan_output_is_not_a_saved_plan(run, live, refused):
    (live / "plan.json").write_text(run("plan", "--local", "-o", "json").stdout)
    error = refused("plan.json")
    assert error["code"] == "plan_file_invalid"
    assert "made with --out" in str(error["hint"])


def test_a_manifest_may_be_a_json_file_of_any_name(run, folder):
    import yaml

    value = yaml.safe_load((folder / "mosaic.yaml").read_text())
    (folder / "plan.json").write_text(json.dumps(value))
    assert run("apply", "--local", "--yes", "plan.json").returncode == 0


def test_other_files_are_not_overwritten(run, live):
    for name in ("mosaic.yaml", "public", "link"):
        (live / "link").unlink(missing_ok=True)
        (live / "link").symlink_to("mosaic.yaml")
        before = (live / "mosaic.yaml").read_text()
        ended = run("plan", "--local", "--out", name)
        assert ended.returncode == 1
        assert "error[file_exists]" in ended.stderr
        assert (live / "mosaic.yaml").read_text() == before
    assert run("plan", "--local", "--out", "nowhere/plan.json").returncode == 1
    assert "error[usage]" in run("plan", "--local", "--out", "public/plan.json").stderr
    assert run("plan", "--local", "--out", "-").returncode == 2
    assert sorted(p.name for p in live.iterdir() if "plan" in p.name) == []


def test_a_saved_plan_is_overwritten_and_readable(run, saved):
    before = saved.read_text()
    (saved.parent / "public/b.html").write_text("b")
    assert run("plan", "--local", "--out", "plan.json").returncode == 0
    assert saved.read_text() != before
    assert stat.S_IMODE(saved.stat().st_mode) == 0o666 & ~_umask()
    assert [p.name for p in saved.parent.iterdir() if p.name.endswith(".plan.json")] == []


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_paths_are_relative_to_the_current_folder(run, live, tmp_path_factory):
    import shutil

    above = tmp_path_factory.mktemp("checkout")
    shutil.copytree(live, above / "first/my app")
    assert run("plan", "--local", "--out", "plan.json", "my app", cwd=above / "first").returncode == 0
    assert json.loads((above / "first/plan.json").read_text())["saved"]["manifest"] == "my app/mosaic.yaml"
    lost = run("apply", "../plan.json", cwd=above / "first/my app")
    assert lost.returncode == 1
    assert "error[manifest_missing]: ../plan.json is a plan for my app/mosaic.yaml" in lost.stderr
    # Another checkout of the same, as in the next job.
    shutil.copytree(live, above / "second/my app")
    ended = run("apply", "../first/plan.json", cwd=above / "second")
    assert ended.returncode == 0, ended.stderr


def test_a_saved_plan_still_needs_approval_to_destroy_data(run, live, refused):
    assert run("sql", "--local", "insert into t values (1)").returncode == 0
    (live / "sql/2_drop.sql").write_text("drop table t;")
    assert run("plan", "--local", "--out", "plan.json").returncode == 0
    assert refused("plan.json")["code"] == "destructive_unconfirmed"
    assert refused("plan.json", "--yes")["code"] == "destructive_unconfirmed"
    hint = run("apply", "plan.json").stderr
    assert hint.rstrip().endswith("mosaic-deploy apply plan.json --allow destructive")
    assert run("apply", "plan.json", "--allow", "destructive").returncode == 0


def test_a_new_hazard_is_reported(run, live, refused):
    assert run("sql", "--local", "insert into t values (1)").returncode == 0
    (live / "sql/2_u.sql").write_text("-- mosaic-ignore: drop_table copied\ndrop table t;")
    assert run("plan", "--local", "--out", "plan.json").returncode == 0
    document = json.loads((live / "plan.json").read_text())
    assert document["saved"]["origin"]["hazards"] == ["destructive drop_table sql/2_u.sql:2:1: t"]
    document["saved"]["origin"]["hazards"] = []
    document["checksum"] = checksum(document)
    (live / "plan.json").write_text(json.dumps(document))
    error = refused("plan.json", "--allow", "destructive")
    assert "new hazard: destructive drop_table" in str(error["message"])


def test_a_plan_denied_by_policy_is_saved_but_not_applied(run, live, refused):
    assert run("sql", "--local", "insert into t values (1)").returncode == 0
    (live / "sql/2_drop.sql").write_text("drop table t;")
    with (live / "mosaic.yaml").open("a") as manifest:
        manifest.write("policy: {destructive: deny}\n")
    assert run("plan", "--local", "--out", "plan.json").returncode == 0
    assert json.loads((live / "plan.json").read_text())["policy"]["denied"]
    assert refused("plan.json", "--allow", "destructive")["code"] == "policy_denied"


def test_after_a_failure_a_new_plan_is_suggested(run, live):
    (live / "sql/2_bad.sql").write_text("select nowhere();")
    assert run("plan", "--local", "--out", "plan.json", "--except", "storage").returncode == 0
    document = json.loads(run("apply", "plan.json", "-o", "json").stdout)
    assert document["error"]["code"] == "migration_failed"
    [action] = document["error"]["next_actions"]
    assert action["command"] == "mosaic-deploy plan --out plan.json --except storage --local -o json"
    again = json.loads(run("apply", "plan.json", "-o", "json").stdout)["error"]
    assert "this plan was already started by " in again["message"]
    assert "(failed, 20" in again["message"]


def test_a_dry_run_checks_whether_the_plan_still_applies(run, saved):
    shown = run("apply", "plan.json", "--dry-run")
    assert (shown.returncode, shown.stdout.splitlines()[-1]) == (
        0,
        "Plan: 1 to add, 0 to change, 0 to destroy.",
    )
    (saved.parent / "public/about.html").write_text("other")
    assert "error[saved_plan_stale]" in run("apply", "plan.json", "--dry-run").stderr


def test_a_selection_is_saved_and_applied(run, live):
    (live / "public/b.html").write_text("b")
    ended = run("plan", "--local", "--only", "static:about.html", "--out", "plan.json")
    assert ended.stdout.splitlines()[-2:] == [
        "Plan: 1 to add, 0 to change, 0 to destroy.",
        "Partial plan: 1 change left out by --only.",
    ]
    document = json.loads((live / "plan.json").read_text())
    assert document["selection"] == {
        "only": ["static:about.html"],
        "except": [],
        "left_out": ["static:b.html"],
    }
    assert run("apply", "plan.json").returncode == 0
    rest = json.loads(run("plan", "--local", "-o", "json").stdout)
    assert [change["address"] for change in rest["changes"]] == ["static:b.html"]
    assert json.loads(run("status", "--local", "-o", "json").stdout)["last_deploy"]["status"] == "partial"


def test_an_empty_selection_is_not_called_up_to_date(run, live):
    ended = run("apply", "--local", "--yes", "--except", "static")
    assert ended.returncode == 0
    assert ended.stdout.splitlines() == [
        "No changes in the selection.",
        "Partial plan: 1 change left out by --except.",
    ]


def test_an_invalid_selector_is_a_usage_error(run, folder):
    ended = run("plan", "--local", "--only", "statik:a")
    assert ended.returncode == 2
    assert "did you mean 'static'?" in ended.stderr
    missed = run("plan", "--local", "--only", "static:indx.html")
    assert (missed.returncode, "did you mean static:index.html?" in missed.stderr) == (1, True)
    assert "error[selection_invalid]" in missed.stderr


def test_variable_values_are_not_in_the_plan(run, live):
    secret = "s3cr3t-and-long-enough"
    with (live / "mosaic.yaml").open("a") as manifest:
        manifest.write("variables: {credentials: [TOKEN]}\n")
        manifest.write("verify: {http: [{path: '/?token=${TOKEN}', contains: '${TOKEN}'}]}\n")
    env = {"TOKEN": secret}
    assert run("plan", "--local", "--out", "plan.json", env=env).returncode == 0
    assert secret not in (live / "plan.json").read_text()
    error = json.loads(run("apply", "plan.json", "-o", "json", env={"TOKEN": "another"}).stdout)["error"]
    assert "mosaic.yaml, or a variable in it, changed under verify" in error["message"]


def test_real_plans_match_the_schema(run, live):
    """With every kind of change, saved and printed."""
    (live / "pics").mkdir()
    (live / "pics/a.bin").write_bytes(b"\x00")
    (live / "seed.sql").write_text("select 1;")
    (live / "sql/2_more.sql").write_text("alter table t add column n int not null default 1;\ndrop table t;")
    (live / "public/index.html").unlink()
    text = (live / "mosaic.yaml").read_text().replace("dir: public", "dir: public\n  prune: true\n  keep: 0")
    (live / "mosaic.yaml").write_text(
        text + "  seeds: [seed.sql]\n  extensions: [citext]\nstorage: {dir: pics}\n"
        "auth: {magic_link: {redirect_url: /about}}\npolicy: {destructive: deny}\n"
    )
    kinds = set()
    for name in ("cli", "another cli"):
        text = (live / "mosaic.yaml").read_text()
        (live / "mosaic.yaml").write_text(text.replace("name: cli", f"name: {name}"))
        assert run("plan", "--local", "--out", "plan.json", "--except", "static:about.html").returncode == 0
        document = json.loads((live / "plan.json").read_text())
        SCHEMA.validate(document)
        kinds |= {(change["kind"], change["action"]) for change in document["changes"]}
        assert bool(document["hazards"]) is (name == "cli")
    assert kinds >= {("static", "destroy"), ("auth", "add"), ("seed", "add"), ("storage", "add")}
    assert kinds >= {("project", "add"), ("extension", "add"), ("migration", "add")}
    SCHEMA.validate(json.loads(run("plan", "--local", "-o", "json").stdout))


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA.schema)


def test_a_stale_saved_plan_is_not_retried(run, live, platform):
    (live / "public/index.html").write_text("<h1>new")
    assert run("plan", "--local", "--out", "plan.json").returncode == 0
    lease = "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) values "
    lease += "('ada@elsewhere', 't', now(), now() + interval '20 seconds')"
    assert run("sql", "--local", "--allow", "destructive", lease).returncode == 0
    error = json.loads(run("apply", "plan.json", "--force-unlock", "-o", "json").stdout)["error"]
    assert error["code"] == "plan_stale"
    assert error["hint"] == "make a new plan, review it and apply that one"
    assert [action["command"] for action in error["next_actions"]] == [
        "mosaic-deploy plan --out plan.json --local -o json"
    ]
