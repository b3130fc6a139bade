"""Drafts of migrations: a clone that apps see, while the project's own database stays as it is."""

from __future__ import annotations

import os
import signal
import threading
import time

import httpx
import psycopg
import pytest
from started_platform import create_project, run_platform

from mosaic_deploy.platform.machine.ports import free_port
from mosaic_deploy.platform.projects.dev_sessions import SESSION_TTL_SECONDS, DraftSessions


class Drafting:
    """One who drafts migrations of a project."""

    def __init__(self, url: str, key: str, project_id: str, name: str = "one") -> None:
        self.url, self.key, self.id, self.name = url, key, project_id, name

    def post(self, path: str, body: dict, **headers: str) -> httpx.Response:
        headers = {"X-API-Key": self.key, **headers}
        return httpx.post(self.url + path, json=body, headers=headers, timeout=60)

    def step(self, step: str) -> httpx.Response:
        return self.post(f"/dev/{self.id}/draft", {"step": step, "name": self.name})

    def does(self, step: str) -> dict:
        answer = self.step(step)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sql(self, query: str, means: str = "") -> list[dict]:
        named = {"Mosaic-Database": means} if means else {}
        answer = self.post(f"/v1/project/{self.id}/sql", {"query": query}, **named)
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"]

    def drafted(self, query: str) -> None:
        self.does("clone")
        self.sql(query, f"draft {self.name}")
        assert self.does("serve")["served"]

    def tables(self, means: str = "") -> list[str]:
        rows = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1", means)
        return [row["tablename"] for row in rows]

    def database_url(self) -> str:
        answer = httpx.get(f"{self.url}/v1/project/{self.id}/credentials", headers={"X-API-Key": self.key})
        return answer.json()["database_url"]


@pytest.fixture
def draft(platform, project) -> Drafting:
    made = Drafting(platform.url, platform.api_key, project("Drafted"))
    made.sql("CREATE TABLE base (n int); INSERT INTO base VALUES (1)")
    return made


def test_apps_see_the_clone_and_deploys_the_database(draft) -> None:
    draft.drafted("CREATE TABLE drafted (n int)")
    assert draft.tables() == ["base", "drafted"]
    assert draft.tables("base") == ["base"]
    draft.sql("INSERT INTO base VALUES (2)")
    assert draft.sql("SELECT count(*) AS n FROM base") == [{"n": 2}]
    assert draft.sql("SELECT count(*) AS n FROM base", "base") == [{"n": 1}]
    with psycopg.connect(draft.database_url()) as app:
        assert app.execute("SELECT current_database(), count(*) FROM base").fetchone() == (
            f"tenant_{draft.id.replace('-', '_')}_draft",
            2,
        )


def test_every_draft_begins_with_what_the_database_is(draft) -> None:
    draft.drafted("CREATE TABLE drafted (n int)")
    draft.sql("CREATE TABLE applied (n int)", "base")
    draft.drafted("CREATE TABLE drafted (n bigint)")
    assert draft.tables() == ["applied", "base", "drafted"]


def test_while_the_next_one_is_made_the_last_one_is_served(draft) -> None:
    draft.drafted("CREATE TABLE good (n int)")
    draft.does("clone")
    assert draft.tables() == ["base", "good"]
    draft.sql("CREATE TABLE better (n int)", "draft one")
    assert draft.tables() == ["base", "good"]
    assert draft.does("serve")["served"]
    assert draft.tables() == ["base", "better"]


def test_when_it_ends_the_database_is_as_it_was(draft) -> None:
    draft.drafted("DROP TABLE base")
    assert draft.tables() == []
    assert draft.does("drop") == {**draft.does("keep"), "served": False, "another": False}
    assert draft.sql("SELECT n FROM base") == [{"n": 1}]
    assert draft.database_url().endswith(f"/tenant_{draft.id.replace('-', '_')}")
    assert draft.does("drop")["served"] is False
    assert databases(draft) == 1


def databases(draft: Drafting) -> int:
    """Without those that are set aside, and on their way out."""
    like = f"datname LIKE 'tenant_{draft.id.replace('-', '_')}%' AND datname NOT LIKE '%_old_%'"
    return int(draft.sql(f"SELECT count(*) AS n FROM pg_database WHERE {like}")[0]["n"])


def test_what_the_database_is_set_to_is_cloned(draft) -> None:
    name = "tenant_" + draft.id.replace("-", "_")
    draft.sql(f"ALTER DATABASE {name} SET search_path = 'public, extra', pg_catalog")
    draft.sql(f"ALTER ROLE {name} IN DATABASE {name} SET work_mem = '7MB'")
    shown = "SELECT current_setting('search_path') AS path, current_setting('work_mem') AS memory"
    draft.drafted("SELECT 1")
    with psycopg.connect(draft.database_url()) as app, app.cursor() as cursor:
        assert cursor.execute(shown).fetchone() == ('"public, extra", pg_catalog', "7MB")


def test_idle_connections_are_ended_and_working_ones_are_named(draft) -> None:
    own = draft.database_url()
    with psycopg.connect(own, autocommit=True, application_name="an idle pool") as idle:
        idle.execute("SELECT 1")
        draft.drafted("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    with psycopg.connect(own, application_name="somebody at work") as busy:
        busy.execute("INSERT INTO base VALUES (3)")
        refused = draft.step("clone")
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "database_in_use"
        assert "somebody at work" in refused.json()["error"]["message"]
        busy.execute("INSERT INTO base VALUES (4)")
    draft.drafted("SELECT 1")
    assert draft.sql("SELECT n FROM base ORDER BY n") == [{"n": 1}, {"n": 3}, {"n": 4}]


def test_an_app_that_comes_back_at_once_hinders_nothing(draft) -> None:
    """Its pool connects anew as soon as it is cut off, to the database and to the clone."""
    own = draft.database_url()
    draft.drafted("SELECT 1")
    over = threading.Event()
    counts = dict.fromkeys((own, draft.database_url()), 0)

    def come_back(url: str) -> None:
        while not over.is_set():
            try:
                with psycopg.connect(url, autocommit=True) as app:
                    counts[url] += 1
                    while not over.is_set():
                        app.execute("SELECT 1")
            except psycopg.Error:
                continue

    apps = [threading.Thread(target=come_back, args=(url,)) for url in counts]
    for app in apps:
        app.start()
    try:
        while not all(counts.values()):
            pass
        for number in range(3):
            draft.drafted(f"CREATE TABLE drafted_{number} (n int)")
            assert draft.tables() == ["base", f"drafted_{number}"]
    finally:
        over.set()
        for app in apps:
            app.join(30)


def test_another_ones_draft_takes_its_place(draft) -> None:
    draft.drafted("CREATE TABLE one (n int)")
    other = Drafting(draft.url, draft.key, draft.id, "two")
    other.does("clone")
    assert draft.does("keep") == {**draft.does("keep"), "served": False, "another": True}
    refused = draft.post(
        f"/v1/project/{draft.id}/sql", {"query": "SELECT 1"}, **{"Mosaic-Database": "draft one"}
    )
    assert refused.json()["error"]["code"] == "draft_gone"
    assert draft.step("serve").status_code == 409
    assert draft.does("drop")["another"]
    other.sql("CREATE TABLE two (n int)", "draft two")
    assert other.does("serve")["served"]
    assert other.tables() == ["base", "two"]


def test_what_was_set_aside_is_dropped(draft) -> None:
    for _ in range(3):
        draft.drafted("SELECT 1")
    like = f"tenant_{draft.id.replace('-', '_')}_draft_old_%"
    deadline = time.monotonic() + 60
    while draft.sql(f"SELECT count(*) AS n FROM pg_database WHERE datname LIKE '{like}'") != [{"n": 0}]:
        assert time.monotonic() < deadline
    assert databases(draft) == 2


def test_another_projects_role_gets_into_no_clone(draft, project) -> None:
    draft.drafted("SELECT 1")
    draft.does("clone")
    stranger = Drafting(draft.url, draft.key, project("Stranger")).database_url()
    own = "tenant_" + draft.id.replace("-", "_")
    for name in (own, f"{own}_draft", f"{own}_draft_next"):
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry|permission denied"):
            psycopg.connect(stranger.rpartition("/")[0] + f"/{name}")


def test_a_project_is_deleted_with_its_clones(draft) -> None:
    draft.drafted("SELECT 1")
    draft.does("clone")
    assert databases(draft) == 3
    gone = httpx.delete(
        f"{draft.url}/v1/project/projects/{draft.id}", headers={"X-API-Key": draft.key}, timeout=60
    )
    assert gone.status_code == 200
    assert draft.step("clone").status_code == 404
    assert draft.step("keep").status_code == 404


def test_only_this_machines_key_drafts_and_nonsense_is_refused(draft) -> None:
    for key in ({"key": ""}, {"key": "mk_wrong"}):
        assert Drafting(draft.url, project_id=draft.id, **key).step("clone").status_code == 401
    assert Drafting(draft.url, draft.key, "not-there").step("clone").status_code == 404
    assert draft.step("dance").status_code == 400
    assert draft.step("serve").status_code == 409
    draft.sql("SELECT 1", "nothing known")
    refused = draft.post(
        f"/v1/project/{draft.id}/sql", {"query": "SELECT 1"}, **{"Mosaic-Database": "draft one"}
    )
    assert refused.status_code == 409


def test_a_platform_that_is_killed_serves_the_database_again(tmp_path, draft) -> None:
    """On a platform of its own. What the clone had is gone; what the database had isn't."""
    home = tmp_path / "home"
    document = run_platform(home, "start", "--port", str(free_port()))
    try:
        made = Drafting(
            document["url"], document["api_key"], create_project(document["url"], document["api_key"], "K")
        )
        made.sql("CREATE TABLE base (n int)")
        made.drafted("CREATE TABLE drafted (n int)")
        made.does("clone")
        os.kill(document["pid"], signal.SIGKILL)
        again = run_platform(home, "start")
        made.url = again["url"]
        assert made.tables() == ["base"]
        assert made.does("keep")["served"] is False
        assert databases(made) == 1
        made.drafted("CREATE TABLE anew (n int)")
        assert made.tables() == ["anew", "base"]
    finally:
        run_platform(home, "reset")


def test_whoever_falls_silent_is_forgotten() -> None:
    """The platform's own part of it, without the wait."""
    drafts = DraftSessions()
    made = drafts.get_or_create("x", "one")
    assert drafts.find("x") is made
    assert drafts.expired_projects() == []
    made.last_seen -= SESSION_TTL_SECONDS + 1
    assert drafts.find("x") is None
    assert drafts.expired_projects() == ["x"]
    assert drafts.get_or_create("x", "one") is drafts.find("x")
