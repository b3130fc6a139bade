"""What leaked can be taken back: keys, database passwords, accounts. And whose the bucket is."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from served import Served, Services, postgres_programs, postgres_server, query, run, serve
from served_requests import create, read, upload, wait_until

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def served(services) -> Iterator[Served]:
    with serve(services) as served:
        yield served


def _logs_in(url: str) -> bool:
    try:
        query(url, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _control(services: Services) -> str:
    return services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")


def test_a_key_rotated_now_ends_all_older_keys(services) -> None:
    account = run(services, "account-create", "Leaky")
    number, oldest = str(account["account_id"]), account["api_key"]
    previous = run(services, "account-rotate", number)["api_key"]
    with serve(services) as served:
        rotated = run(services, "account-rotate", number, "--now")
        assert rotated["old_key_days"] == 0
        for key in (oldest, previous):
            with served.client(key) as client:
                refused = client.get("/v1/project/projects")
                assert (refused.status_code, refused.json()["error"]["code"]) == (401, "api_key_expired")
        with served.client(rotated["api_key"]) as client:
            assert client.get("/v1/project/projects").status_code == 200


def test_a_suspended_account_is_not_served_and_resumes_with_its_data(services, served) -> None:
    account = run(services, "account-create", "Sus")
    number = str(account["account_id"])
    with served.client(account["api_key"]) as client:
        project_id = create(client, "Kept")
        client.post(f"/v1/project/{project_id}/files", json={"filename": "index.html", "content": "hello"})
        permit = client.post(
            f"/v1/project/{project_id}/storage/upload", json={"filename": "a.bin", "size": 1}
        ).json()
        url = client.get(f"/v1/project/{project_id}/credentials").json()["database_url"]
        assert _logs_in(url)
        with psycopg.connect(url) as opened:
            assert run(services, "account-suspend", number)["status"] == "suspended"
            with pytest.raises(psycopg.OperationalError):
                opened.execute("SELECT 1")
        assert not _logs_in(url)
        wait_until(lambda: client.get("/v1/project/projects").status_code == 401)
        assert client.get("/v1/project/projects").json()["error"]["code"] == "account_suspended"
        assert read(client, project_id, "/").status_code == 404
        assert client.put(permit["upload_url"].partition(".test")[2], content=b"x").status_code == 404
        listed = {one["account_id"]: one["status"] for one in run(services, "account-list")["accounts"]}
        assert listed[account["account_id"]] == "suspended"
        assert run(services, "account-resume", number)["status"] == "active"
        wait_until(lambda: client.get("/v1/project/projects").status_code == 200)
        assert read(client, project_id, "/").text == "hello"
        assert _logs_in(url)
        selected = client.post(f"/v1/project/{project_id}/sql", json={"query": "SELECT 1"})
        assert selected.status_code == 200
    for command in ("account-suspend", "account-resume", "account-delete"):
        assert run(services, command, "999999")["error"]["code"] == "account_not_found"


def test_suspensions_of_an_account_and_of_a_database_are_independent(services, served) -> None:
    """A database may be suspended because of what it held, and its account by the operator."""
    account = run(services, "account-create", "Twice")
    number, control = str(account["account_id"]), _control(services)
    with served.client(account["api_key"]) as client:
        project_id = create(client, "Twice")
        url = client.get(f"/v1/project/{project_id}/credentials").json()["database_url"]

        def suspend_database(until: str) -> None:
            reason = "suspended_for = 'it held locks'"
            query(
                control, f"UPDATE project SET suspended_until = {until}, {reason} WHERE id = '{project_id}'"
            )
            query(control, f"ALTER ROLE tenant_{project_id.replace('-', '_')} NOLOGIN")

        assert run(services, "account-suspend", number)["status"] == "suspended"
        suspend_database("now()")
        lifted = f"SELECT 1 FROM project WHERE id = '{project_id}' AND suspended_until IS NULL"
        wait_until(lambda: query(control, lifted))
        assert not _logs_in(url)
        suspend_database("now() + interval '1 day'")
        assert run(services, "account-resume", number)["status"] == "active"
        assert not _logs_in(url)
        suspend_database("now()")
        wait_until(lambda: _logs_in(url))


@pytest.mark.parametrize("command", ["account-suspend", "rotate-password"])
def test_a_lock_on_the_role_keeps_nobody_in(services, served, command) -> None:
    account = run(services, "account-create", "Holding")
    with served.client(account["api_key"]) as client:
        project_id = create(client, "Holding")
        url = client.get(f"/v1/project/{project_id}/credentials").json()["database_url"]
        with psycopg.connect(url) as opened:
            opened.execute("ALTER ROLE current_user PASSWORD 'x'")
            subject = project_id if command == "rotate-password" else str(account["account_id"])
            assert run(services, command, subject)["exit_code"] == 0
            with pytest.raises(psycopg.OperationalError):
                opened.execute("SELECT 1")
        assert not _logs_in(url)


def test_a_deleted_account_leaves_nothing(services, served) -> None:
    account = run(services, "account-create", "Gone")
    number = str(account["account_id"])
    control = _control(services)
    with served.client(account["api_key"]) as client:
        projects = [create(client, "One"), create(client, "Two")]
        for project_id in projects:
            assert upload(client, project_id, "a.bin", b"bytes").status_code == 200
        url = client.get(f"/v1/project/{projects[0]}/credentials").json()["database_url"]
        deleted = run(services, "account-delete", number)
        assert (deleted["status"], deleted["projects"]) == ("deleting", 2)
        assert not _logs_in(url)
        assert read(client, projects[0], "/storage/a.bin").status_code == 404
        wait_until(lambda: client.get("/v1/project/projects").status_code == 401)
        assert run(services, "account-rotate", number)["error"]["code"] == "account_not_found"
        query(control, "UPDATE project SET created_at = now() - interval '1 day' WHERE status = 'deleting'")
        wait_until(lambda: not query(control, f"SELECT 1 FROM account WHERE id = {number}"))
        names = ", ".join(f"'tenant_{one.replace('-', '_')}'" for one in projects)
        assert not query(control, f"SELECT 1 FROM pg_database WHERE datname IN ({names})")
        assert not query(control, f"SELECT 1 FROM pg_roles WHERE rolname IN ({names})")


def test_a_project_created_meanwhile_goes_with_its_account(services, served) -> None:
    account = run(services, "account-create", "Racing")
    number, control = account["account_id"], _control(services)
    with psycopg.connect(control) as creating, ThreadPoolExecutor(1) as threads:
        creating.execute("SELECT 1 FROM account WHERE id = %s FOR NO KEY UPDATE", [number])
        creating.execute(
            "INSERT INTO project (id, account_id, name, status, database_password, created_at)"
            " VALUES ('race-001', %s, 'Racing', 'provisioning', 'x', now() + interval '1 day')",
            [number],
        )
        deleting = threads.submit(run, services, "account-delete", str(number))
        waits = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%UPDATE account%'"
        )
        wait_until(lambda: bool(query(control, waits)))
        creating.commit()
        assert deleting.result()["status"] == "deleting"
    assert query(control, "SELECT status FROM project WHERE id = 'race-001'") == [("deleting",)]
    with served.client(account["api_key"]) as client:
        assert client.get("/v1/project/projects").status_code == 401


def test_no_project_is_created_in_a_deleted_account(services, served) -> None:
    """Workers cache a key for five seconds."""
    account = run(services, "account-create", "Late")
    control = _control(services)
    with served.client(account["api_key"]) as client:
        create(client, "First")
        query(control, f"UPDATE account SET deleted_at = now() WHERE id = {account['account_id']}")
        refused = client.post("/v1/project/projects", json={"name": "Late"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "api_key_invalid")


def test_resuming_an_account_opens_no_deleted_database(services, served) -> None:
    account = run(services, "account-create", "Deleted")
    number, control = str(account["account_id"]), _control(services)
    with served.client(account["api_key"]) as client:
        project_id = create(client, "Deleted")
        url = client.get(f"/v1/project/{project_id}/credentials").json()["database_url"]
    # As while deletions are paused: workers leave young projects alone.
    query(
        control,
        "UPDATE project SET status = 'deleting', created_at = now() + interval '1 day'"
        f" WHERE id = '{project_id}'",
    )
    query(control, f"ALTER ROLE tenant_{project_id.replace('-', '_')} NOLOGIN")
    for command in ("account-suspend", "account-resume"):
        assert run(services, command, number)["exit_code"] == 0
    assert not _logs_in(url)


def test_deleting_an_account_needs_a_word(services) -> None:
    account = run(services, "account-create", "Sure")
    program = (
        sys.executable,
        "-m",
        "mosaic_deploy",
        "platform",
        "account",
        "delete",
        str(account["account_id"]),
    )
    refused = subprocess.run(
        program,
        env=services.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "--yes" in refused.stderr
    done = subprocess.run(
        (*program, "--yes"), env=services.environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "deleting" in done.stdout) == (0, True), done.stderr


def test_a_database_password_is_rotated_on_request(services, key) -> None:
    with serve(services) as first, serve(services) as second:
        with first.client(key) as client:
            project_id = create(client, "Rotated")
            old = client.get(f"/v1/project/{project_id}/credentials").json()["database_url"]
            with psycopg.connect(old) as opened:
                assert run(services, "rotate-password", project_id)["status"] == "password_rotated"
                with pytest.raises(psycopg.OperationalError):
                    opened.execute("SELECT 1")
        for served in (first, second):
            with served.client(key) as client:
                selected = client.post(f"/v1/project/{project_id}/sql", json={"query": "SELECT 1"})
                assert selected.status_code == 200, selected.text
                new = client.get(f"/v1/project/{project_id}/credentials").json()["database_url"]
                assert new != old
                assert _logs_in(new)
                assert not _logs_in(old)
    assert run(services, "rotate-password", "no-such")["error"]["code"] == "project_not_found"


def test_a_leaked_database_password_is_never_set_again(services, key) -> None:
    """A project changes its role's password by SQL. The platform, which doesn't know it, sets a new one."""
    with serve(services) as served, served.client(key) as client:
        project_id = create(client, "Changed")
        credentials = client.get(f"/v1/project/{project_id}/credentials").json()
        leaked = credentials["database_url"]
        query(leaked, "ALTER ROLE current_user PASSWORD 'my own'")
        query(leaked.replace(credentials["password"], "my%20own"), "SELECT 1")
        assert not _logs_in(leaked)
    with serve(services) as first, serve(services) as second, first.client(key) as client:
        with second.client(key) as other:
            for one in (client, other, client):
                selected = one.post(f"/v1/project/{project_id}/sql", json={"query": "SELECT 1"})
                assert selected.status_code == 200, selected.text
        now = client.get(f"/v1/project/{project_id}/credentials").json()["database_url"]
        assert _logs_in(now)
        assert not _logs_in(leaked)


def test_a_closed_database_keeps_its_password(services, served, key) -> None:
    with served.client(key) as client:
        project_id = create(client, "Closed")
        url = client.get(f"/v1/project/{project_id}/credentials").json()["database_url"]
        name = "tenant_" + project_id.replace("-", "_")
        query(url, f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        selected = client.post(f"/v1/project/{project_id}/sql", json={"query": "SELECT 1"})
        assert selected.status_code == 200, selected.text
        assert client.get(f"/v1/project/{project_id}/credentials").json()["database_url"] == url


def test_a_copy_of_the_database_does_not_start_on_the_bucket(services, key) -> None:
    """A dump of the control database, restored on another server. The original goes on and deletes nothing more once
    the copy has taken the bucket over."""
    programs, control = postgres_programs(), _control(services)
    with serve(services) as served, served.client(key) as client, tempfile.TemporaryDirectory() as name:
        project_id = create(client, "Original")
        assert upload(client, project_id, "a.bin", b"kept").status_code == 200
        folder = Path(name)
        folder.chmod(0o755)
        dumped = query(control, "SELECT count(*) FROM store_claim")[0][0]
        dump = subprocess.run(
            [programs / "pg_dump", "--no-owner", control], capture_output=True, check=True
        ).stdout
        with postgres_server(folder / "postgres") as url:
            query(url, "CREATE DATABASE mosaic_control")
            restored = url.replace("/postgres", "/mosaic_control")
            subprocess.run([programs / "psql", "-q", restored], input=dump, check=True, capture_output=True)
            copy = Services({**services.environment, "MOSAIC_DATABASE_URL": url}, "", services.arguments)
            wait_until(lambda: query(control, "SELECT count(*) FROM store_claim")[0][0] > dumped)
            refused = run(copy, "prepare", *services.arguments)
            assert (refused["exit_code"], refused["error"]["code"]) == (1, "store_not_ours"), refused
            taken = run(copy, "take-over", *services.arguments)
            assert (taken["exit_code"], taken["status"]) == (0, "taken_over")
            assert run(copy, "prepare", *services.arguments)["exit_code"] == 0
            assert run(services, "prepare", *services.arguments)["error"]["code"] == "store_not_ours"
            # The original serves, and deletes no object.
            assert client.delete(f"/v1/project/projects/{project_id}").status_code == 200
            assert query(control, f"SELECT status FROM project WHERE id = '{project_id}'") == [("deleting",)]
            assert run(services, "take-over", *services.arguments)["exit_code"] == 0
            assert run(copy, "prepare", *services.arguments)["error"]["code"] == "store_not_ours"
