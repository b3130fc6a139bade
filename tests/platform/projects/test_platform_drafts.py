"""Drafts of migrations: apps use a clone, while the project's own database stays unchanged."""

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


class DraftClient:
    """A `dev` command that drafts migrations of a project."""

    def __init__(self, url: str, key: str, project_id: str, name: str = "one") -> None:
        self.url, self.key, self.id, self.name = url, key, project_id, name

    def post(self, path: str, body: dict, **headers: str) -> httpx.Response:
        headers = {"X-API-Key": self.key, **headers}
        return httpx.post(self.url + path, json=body, headers=headers, timeout=60)

    def step(self, step: str) -> httpx.Response:
        return self.post(f"/dev/{self.id}/draft", {"step": step, "name": self.name})

    def run_step(self, step: str) -> dict:
        response = self.step(step)
        assert response.status_code == 200, response.text
        return response.json()

    def sql(self, query: str, database: str = "") -> list[dict]:
        headers = {"Mosaic-Database": database} if database else {}
        response = self.post(f"/v1/project/{self.id}/sql", {"query": query}, **headers)
        assert response.status_code == 200, response.text
        return response.json()["rows"]

    def serve(self, query: str) -> None:
        """Clone the database, run `query` on the clone, have it served."""
        self.run_step("clone")
        self.sql(query, f"draft {self.name}")
        assert self.run_step("serve")["served"]

    def tables(self, database: str = "") -> list[str]:
        rows = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1", database)
        return [row["tablename"] for row in rows]

    def database_url(self) -> str:
        response = httpx.get(f"{self.url}/v1/project/{self.id}/credentials", headers={"X-API-Key": self.key})
        return response.json()["database_url"]


@pytest.fixture
def draft(platform, project) -> DraftClient:
    made = DraftClient(platform.url, platform.api_key, project("Drafted"))
    made.sql("CREATE TABLE base (n int); INSERT INTO base VALUES (1)")
    return made


def test_apps_use_the_clone_and_deploys_the_database(draft) -> None:
    draft.serve("CREATE TABLE drafted (n int)")
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


def test_every_draft_starts_from_the_current_database(draft) -> None:
    draft.serve("CREATE TABLE drafted (n int)")
    draft.sql("CREATE TABLE applied (n int)", "base")
    draft.serve("CREATE TABLE drafted (n bigint)")
    assert draft.tables() == ["applied", "base", "drafted"]


def test_the_old_clone_is_served_until_the_next_one_is_ready(draft) -> None:
    draft.serve("CREATE TABLE good (n int)")
    draft.run_step("clone")
    assert draft.tables() == ["base", "good"]
    draft.sql("CREATE TABLE better (n int)", "draft one")
    assert draft.tables() == ["base", "good"]
    assert draft.run_step("serve")["served"]
    assert draft.tables() == ["base", "better"]


def test_dropping_a_draft_leaves_the_database_unchanged(draft) -> None:
    draft.serve("DROP TABLE base")
    assert draft.tables() == []
    assert draft.run_step("drop") == {**draft.run_step("keep"), "served": False, "another": False}
    assert draft.sql("SELECT n FROM base") == [{"n": 1}]
    assert draft.database_url().endswith(f"/tenant_{draft.id.replace('-', '_')}")
    assert draft.run_step("drop")["served"] is False
    assert databases(draft) == 1


def databases(draft: DraftClient) -> int:
    """The number of the project's databases, without retired clones."""
    like = f"datname LIKE 'tenant_{draft.id.replace('-', '_')}%' AND datname NOT LIKE '%_old_%'"
    return int(draft.sql(f"SELECT count(*) AS n FROM pg_database WHERE {like}")[0]["n"])


def test_database_settings_are_cloned(draft) -> None:
    name = "tenant_" + draft.id.replace("-", "_")
    draft.sql(f"ALTER DATABASE {name} SET search_path = 'public, extra', pg_catalog")
    draft.sql(f"ALTER ROLE {name} IN DATABASE {name} SET work_mem = '7MB'")
    shown = "SELECT current_setting('search_path') AS path, current_setting('work_mem') AS memory"
    draft.serve("SELECT 1")
    with psycopg.connect(draft.database_url()) as app, app.cursor() as cursor:
        assert cursor.execute(shown).fetchone() == ('"public, extra", pg_catalog', "7MB")


def test_idle_connections_are_terminated_and_active_ones_reported(draft) -> None:
    own = draft.database_url()
    with psycopg.connect(own, autocommit=True, application_name="an idle pool") as idle:
        idle.execute("SELECT 1")
        draft.serve("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    with psycopg.connect(own, application_name="busy app") as busy:
        busy.execute("INSERT INTO base VALUES (3)")
        rejected = draft.step("clone")
        assert rejected.status_code == 409
        assert rejected.json()["error"]["code"] == "database_in_use"
        message = rejected.json()["error"]["message"]
        assert message.startswith("the database is in use and can't be copied: busy app (process ")
        busy.execute("INSERT INTO base VALUES (4)")
    draft.serve("SELECT 1")
    assert draft.sql("SELECT n FROM base ORDER BY n") == [{"n": 1}, {"n": 3}, {"n": 4}]


def test_apps_that_reconnect_at_once_dont_block_drafts(draft) -> None:
    """Their pools reconnect as soon as they are terminated, to the database and to the clone."""
    own = draft.database_url()
    draft.serve("SELECT 1")
    done = threading.Event()
    counts = dict.fromkeys((own, draft.database_url()), 0)

    def reconnect(url: str) -> None:
        while not done.is_set():
            try:
                with psycopg.connect(url, autocommit=True) as app:
                    counts[url] += 1
                    while not done.is_set():
                        app.execute("SELECT 1")
            except psycopg.Error:
                continue

    apps = [threading.Thread(target=reconnect, args=(url,)) for url in counts]
    for app in apps:
        app.start()
    try:
        while not all(counts.values()):
            pass
        for number in range(3):
            draft.serve(f"CREATE TABLE drafted_{number} (n int)")
            assert draft.tables() == ["base", f"drafted_{number}"]
    finally:
        done.set()
        for app in apps:
            app.join(30)


def test_a_draft_of_another_command_replaces_the_first(draft) -> None:
    draft.serve("CREATE TABLE one (n int)")
    other = DraftClient(draft.url, draft.key, draft.id, "two")
    other.run_step("clone")
    assert draft.run_step("keep") == {**draft.run_step("keep"), "served": False, "another": True}
    rejected = draft.post(
        f"/v1/project/{draft.id}/sql", {"query": "SELECT 1"}, **{"Mosaic-Database": "draft one"}
    )
    assert rejected.json()["error"]["code"] == "draft_gone"
    assert draft.step("serve").status_code == 409
    assert draft.run_step("drop")["another"]
    other.sql("CREATE TABLE two (n int)", "draft two")
    assert other.run_step("serve")["served"]
    assert other.tables() == ["base", "two"]


def test_retired_clones_are_dropped(draft) -> None:
    for _ in range(3):
        draft.serve("SELECT 1")
    like = f"tenant_{draft.id.replace('-', '_')}_draft_old_%"
    deadline = time.monotonic() + 60
    while draft.sql(f"SELECT count(*) AS n FROM pg_database WHERE datname LIKE '{like}'") != [{"n": 0}]:
        assert time.monotonic() < deadline
        # Or it ends itself, like that of a `dev` that was killed.
        draft.run_step("keep")
    assert databases(draft) == 2


def test_roles_of_other_projects_cannot_connect_to_clones(draft, project) -> None:
    draft.serve("SELECT 1")
    draft.run_step("clone")
    stranger = DraftClient(draft.url, draft.key, project("Stranger")).database_url()
    own = "tenant_" + draft.id.replace("-", "_")
    for name in (own, f"{own}_draft", f"{own}_draft_next"):
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry|permission denied"):
            psycopg.connect(stranger.rpartition("/")[0] + f"/{name}")


def test_deleting_a_project_drops_its_clones(draft) -> None:
    draft.serve("SELECT 1")
    draft.run_step("clone")
    assert databases(draft) == 3
    deleted = httpx.delete(
        f"{draft.url}/v1/project/projects/{draft.id}", headers={"X-API-Key": draft.key}, timeout=60
    )
    assert deleted.status_code == 200
    assert draft.step("clone").status_code == 404
    assert draft.step("keep").status_code == 404


def test_invalid_draft_requests_are_rejected(draft) -> None:
    for key in ({"key": ""}, {"key": "mk_wrong"}):
        assert DraftClient(draft.url, project_id=draft.id, **key).step("clone").status_code == 401
    assert DraftClient(draft.url, draft.key, "not-there").step("clone").status_code == 404
    assert draft.step("dance").status_code == 400
    assert draft.step("serve").status_code == 409
    draft.sql("SELECT 1", "nothing known")
    rejected = draft.post(
        f"/v1/project/{draft.id}/sql", {"query": "SELECT 1"}, **{"Mosaic-Database": "draft one"}
    )
    assert rejected.status_code == 409


def test_after_a_crash_the_database_is_served_again(tmp_path, draft) -> None:
    """On a separate platform. The clone is dropped; the database is unchanged."""
    home = tmp_path / "home"
    document = run_platform(home, "start", "--port", str(free_port()))
    try:
        made = DraftClient(
            document["url"], document["api_key"], create_project(document["url"], document["api_key"], "K")
        )
        made.sql("CREATE TABLE base (n int)")
        made.serve("CREATE TABLE drafted (n int)")
        made.run_step("clone")
        os.kill(document["pid"], signal.SIGKILL)
        again = run_platform(home, "start")
        made.url = again["url"]
        assert made.tables() == ["base"]
        assert made.run_step("keep")["served"] is False
        assert databases(made) == 1
        made.serve("CREATE TABLE again (n int)")
        assert made.tables() == ["again", "base"]
    finally:
        run_platform(home, "reset")


def test_drafts_without_heartbeat_expire() -> None:
    drafts = DraftSessions()
    made = drafts.get_or_create("x", "one")
    assert drafts.find("x") is made
    assert drafts.expired_projects() == []
    made.last_seen -= SESSION_TTL_SECONDS + 1
    assert drafts.find("x") is None
    assert drafts.expired_projects() == ["x"]
    assert drafts.get_or_create("x", "one") is drafts.find("x")
