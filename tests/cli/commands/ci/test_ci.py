"""`mosaic-deploy ci`, with GitHub's environment files and a stand-in for its comment API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from github_stand_in import Comments, stand_in


@pytest.fixture
def comments() -> Iterator[Comments]:
    with stand_in() as served:
        yield served


class Job:
    """A job's files, outside the repository."""

    def __init__(self, run, repository: Path, files: Path, api: str) -> None:
        self._run = run
        self.files = files
        self.env = {
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "GITHUB_OUTPUT": str(files / "output"),
            "GITHUB_STEP_SUMMARY": str(files / "summary"),
            "GITHUB_EVENT_PATH": str(files / "event.json"),
            "GITHUB_WORKSPACE": str(repository),
            "GITHUB_REPOSITORY": "we/it",
            "GITHUB_RUN_ID": "7",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_API_URL": api,
            "GITHUB_TOKEN": "ghs_secret",
            "GITHUB_SHA": "1111111111111111",
            "RUNNER_TEMP": str(files),
        }
        self.event({})

    def event(self, document: dict[str, Any]) -> None:
        self._event = document
        (self.files / "event.json").write_text(json.dumps(document))

    def pull_request(self, source: str = "we/it") -> None:
        head = {"sha": "2222222222222222", "repo": {"full_name": source}}
        self.event({"pull_request": {"number": 12, "head": head}})

    def __call__(self, *arguments: str, env: dict[str, str] | None = None):
        (self.files / "output").write_text("")
        (self.files / "summary").write_text("")
        event = "pull_request" if arguments[0] == "plan" and "pull_request" in self._event else "push"
        return self._run("ci", *arguments, env={**self.env, "GITHUB_EVENT_NAME": event, **(env or {})})

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs as GitHub parses them."""
        text = (self.files / "output").read_text()
        return {name: value for name, _, value in re.findall(r"(\w+)<<(\w+)\n(.*?)\n\2\n", text, re.DOTALL)}

    @property
    def summary(self) -> str:
        return (self.files / "summary").read_text()


@pytest.fixture
def job(run, folder: Path, comments: Comments, tmp_path_factory) -> Job:
    return Job(run, folder, tmp_path_factory.mktemp("job"), comments.url)


def test_a_pull_request_is_planned_commented_and_applied(job: Job, comments: Comments, folder: Path) -> None:
    job.pull_request()
    planned = job("plan", "--local")
    assert planned.returncode == 0, planned.stderr
    counts = {name: job.outputs[name] for name in ("changes", "to_add", "to_change", "to_destroy")}
    assert counts == {"changes": "true", "to_add": "3", "to_change": "0", "to_destroy": "0"}
    [comment] = comments.kept
    assert "3 to add, 0 to change, 0 to destroy" in comment["body"]
    assert "commit 222222222222" in comment["body"]
    assert comment["body"].startswith("<!-- mosaic-deploy:  -->")
    assert "<details>" in job.summary
    assert planned.stdout.startswith("::group::Plan\n")
    applied = job("apply", job.outputs["plan_path"])
    assert applied.returncode == 0, applied.stderr
    assert job.outputs["url"].startswith("http://")
    assert job.outputs["deploy_id"]
    assert "3 added" in job.summary
    again = job("plan", "--local")
    assert again.returncode == 0
    assert job.outputs["changes"] == "false"
    assert "No changes." in comments.kept[0]["body"]


def test_the_comment_is_only_updated_if_it_changes(job: Job, comments: Comments, folder: Path) -> None:
    comments.add("<!-- mosaic-deploy: staging -->\nsomebody's own", kind="User")
    for number in range(150):
        comments.add(f"talk {number}")
    job.pull_request()
    for _ in range(2):
        assert job("plan", "--local", "--label", "staging").returncode == 0
    assert comments.writes == 1
    (folder / "public/more.html").write_text("more")
    assert job("plan", "--local", "--label", "staging").returncode == 0
    assert job("plan", "--local", "--label", "production").returncode == 0
    ours = [each["body"] for each in comments.kept if each["body"].startswith("<!--")]
    assert [("4 to add" in body) for body in ours] == [False, True, True]


def test_no_comment_without_changes(job: Job, comments: Comments) -> None:
    assert job("apply", "--local").returncode == 0
    job.pull_request()
    assert job("plan", "--local").returncode == 0
    assert comments.kept == []


def test_a_failed_comment_does_not_fail_the_job(job: Job, comments: Comments) -> None:
    comments.refuse = 403
    job.pull_request()
    planned = job("plan", "--local")
    assert planned.returncode == 0
    assert (
        "::warning title=mosaic-deploy::can't write the comment: GitHub returned HTTP 403" in planned.stdout
    )


def test_an_unusable_proxy_does_not_fail_the_job(job: Job, comments: Comments) -> None:
    job.pull_request()
    planned = job(
        "plan", "--local", env={"https_proxy": "ftp://proxy", "GITHUB_API_URL": "https://github.example"}
    )
    assert planned.returncode == 0, planned.stderr
    assert (
        "::warning title=mosaic-deploy::can't write the comment: can't reach GitHub: https_proxy has an"
        in planned.stdout
    )


def test_a_fork_without_secrets_is_validated(job: Job, comments: Comments, folder: Path) -> None:
    job.pull_request(source="stranger/it")
    planned = job("plan", env={"MOSAIC_API_KEY": ""})
    assert planned.returncode == 0, planned.stderr
    assert "::notice title=mosaic-deploy::Validated only, without a plan" in planned.stdout
    (folder / "sql/2_bad.sql").write_text("selec")
    assert job("plan", env={"MOSAIC_API_KEY": ""}).returncode == 1
    assert comments.kept == []


@pytest.mark.parametrize("sender", [True, False])
def test_a_dependabot_pull_request_is_validated(job: Job, *, sender: bool) -> None:
    job.pull_request()
    event = json.loads((job.files / "event.json").read_text())
    if sender:
        job.event({**event, "sender": {"login": "dependabot[bot]"}})
    actor = {} if sender else {"GITHUB_ACTOR": "dependabot[bot]"}
    planned = job("plan", env={"MOSAIC_API_KEY": "", **actor})
    assert planned.returncode == 0, planned.stderr
    assert "::notice title=mosaic-deploy::Validated only, without a plan" in planned.stdout
    assert set(job.outputs) == OUTPUTS
    assert set(job.outputs.values()) == {""}
    job.event({"sender": {"login": "dependabot[bot]"}})
    assert job("plan", env={"MOSAIC_API_KEY": "", **actor}).returncode == 1, "a push"


OUTPUTS = {"changes", "to_add", "to_change", "to_destroy", "plan_path", "url", "deploy_id"}


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_missing_key_outside_forks_is_an_error(job: Job, command: str) -> None:
    job.pull_request()
    missing = job(command, env={"MOSAIC_API_KEY": ""})
    assert missing.returncode == 1
    assert "::error title=key_missing::" in missing.stdout
    assert "repository secret MOSAIC_API_KEY" in missing.stderr
    assert "repository secret MOSAIC_API_KEY" in job.summary
    assert "login" not in missing.stderr + job.summary
    assert set(job.outputs) == OUTPUTS
    assert set(job.outputs.values()) == {""}


def test_an_annotation_has_the_field_and_the_hint(job: Job, folder: Path) -> None:
    manifest = folder / "mosaic.yaml"
    manifest.write_text(manifest.read_text() + "verify:\n  http:\n    - pth: /\n")
    failed = job("plan", "--local")
    assert 'title=manifest_invalid::verify.http[0].pth: unknown field; did you mean "path"?' in failed.stdout


def test_a_rotated_key_names_the_secret(job: Job, platform) -> None:
    refused = job("apply", env={"MOSAIC_API_KEY": "mk_old", "MOSAIC_API_URL": platform.url})
    assert refused.returncode == 1
    assert "repository secret MOSAIC_API_KEY" in refused.stderr
    assert "repository secret MOSAIC_API_KEY" in job.summary


def test_annotations_use_paths_of_the_repository(job: Job, folder: Path, tmp_path: Path) -> None:
    (folder / "apps").mkdir()
    project = folder / "apps/my site, 100%"
    project.mkdir()
    for name in ("sql", "public", "mosaic.yaml"):
        (folder / name).rename(project / name)
    (project / "sql/2_bad.sql").write_text("select 1;\nselec 2;")
    failed = job("plan", "--local", str(project))
    assert failed.returncode == 1
    place = "file=apps/my site%2C 100%25/sql/2_bad.sql,line=2,col=1,title=migration_invalid"
    assert f'::error {place}::syntax error at or near "selec"' in failed.stdout


def test_hazards_are_annotated_and_destruction_needs_approval(
    job: Job, comments: Comments, folder: Path
) -> None:
    (folder / "sql/1_t.sql").write_text("create table t (id int);\ninsert into t values (1);")
    assert job("apply", "--local").returncode == 0
    (folder / "sql/2_drop.sql").write_text("drop table t;")
    job.pull_request()
    planned = job("plan", "--local")
    assert "::error file=sql/2_drop.sql,line=1,col=1,title=drop_table::drops table t" in planned.stdout
    body = comments.kept[0]["body"]
    assert body.index("drops table t") < body.index("<details>")
    refused = job("apply", "--local")
    assert refused.returncode == 1
    assert "title=destructive_unconfirmed::" in refused.stdout
    assert job("apply", "--local", "--allow", "destructive").returncode == 0


def test_a_constraint_that_would_fail_is_a_warning(job: Job, run, comments: Comments, folder: Path) -> None:
    (folder / "sql/1_t.sql").write_text("create table t (id int primary key, n int);")
    assert job("apply", "--local").returncode == 0
    assert run("sql", "--local", "insert into t values (1)").returncode == 0
    (folder / "sql/2_n.sql").write_text("create table u ();\nalter table t alter n set not null;")
    job.pull_request()
    planned = job("plan", "--local", "--rehearse")
    text = "SET NOT NULL on t.n would fail: 1 row, key 1"
    assert f"::warning file=sql/2_n.sql,line=2,col=1,title=rows_violate::{text}\n" in planned.stdout
    for shown in (comments.kept[0]["body"], job.summary):
        assert text in shown.partition("<details>")[0]
        assert shown.partition("### ")[2].startswith("⚠️")


def test_a_failed_apply_reports_its_progress(job: Job, folder: Path) -> None:
    (folder / "sql/2_bad.sql").write_text("select 1;\nselect nothing();")
    failed = job("apply", "--local")
    assert failed.returncode == 1
    assert "::error file=sql/2_bad.sql,line=2,col=8,title=migration_failed::" in failed.stdout
    assert re.search(r"the apply stopped \(\d+ of \d+ changes done\)", job.summary)


def test_repository_content_is_escaped(job: Job, comments: Comments, folder: Path) -> None:
    odd = "```@all<b>.html"
    (folder / "public" / odd).write_text("x")
    job.pull_request()
    assert job("plan", "--local").returncode == 0
    body = comments.kept[0]["body"]
    assert "````diff" in body
    inside = body.split("````diff")[1].split("\n````")[0]
    assert odd in inside


def test_no_secret_is_printed(job: Job, comments: Comments, platform) -> None:
    job.pull_request()
    planned = job("plan", env={"MOSAIC_API_KEY": platform.api_key, "MOSAIC_API_URL": platform.url})
    assert planned.returncode == 0, planned.stderr
    told = planned.stdout + planned.stderr + job.summary + comments.kept[0]["body"]
    assert platform.api_key not in told
    assert "ghs_secret" not in told
    assert comments.tokens == {"Bearer ghs_secret"}


def test_outside_github_it_plans_and_applies(run, folder: Path) -> None:
    planned = run("ci", "plan", "--local", "--out", "my plan.json")
    assert "mosaic-deploy ci apply 'my plan.json'\n" in planned.stderr
    assert planned.returncode == 0
    assert "::" not in planned.stdout.replace("://", "")
    assert run("ci", "apply", "--local").returncode == 0
    assert run("ci", "plan", "--local", "--detailed-exitcode").returncode == 0
