"""Operating a served platform: files, accounts, tiers, workers, startup."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from served import DOMAIN, Services, children, postgres_server, query, run, serve
from served_requests import create, read, upload, wait_until

pytestmark = pytest.mark.timeout(240)


def test_large_uploads_and_ranges(services, key) -> None:
    content = os.urandom(1 << 20) * 20
    with serve(services) as served, served.client(key) as client:
        project_id = create(client, "Large")
        assert upload(client, project_id, "large.bin", content).status_code == 200
        path = "/storage/large.bin"
        assert read(client, project_id, path).content == content
        part = read(client, project_id, path, Range="bytes=8388600-8388700")
        assert (part.status_code, part.content) == (206, content[8388600:8388701])
        listed = client.get(f"/v1/project/{project_id}/storage").json()
        assert listed["usage"]["limit"] == "1 TB"
        assert listed["files"][0]["url"] == f"http://{project_id}.{DOMAIN}{path}"


def test_accounts_and_hosts(services, key) -> None:
    stranger = run(services, "account-create", "Bob", "--tier", "free")["api_key"]
    with serve(services) as served, served.client(key) as ann, served.client(stranger) as bob:
        project_id = create(ann, "Ann's")
        for path in (f"/v1/project/{project_id}/files", f"/v1/project/{project_id}/credentials"):
            assert bob.get(path).status_code == 404
        assert bob.get("/v1/project/projects").json() == {"projects": []}
        assert bob.delete(f"/v1/project/projects/{project_id}").status_code == 404
        for given, code in (("mk_wrong", "api_key_invalid"), ("", "api_key_missing")):
            with served.client(given) as nobody:
                refused = nobody.get("/v1/project")
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, code)
        # A served platform's dashboard has no inbox, requests of all, or key.
        for path in ("/inbox", "/requests", "/key", "/metrics", f"/projects/{project_id}/sql"):
            assert ann.get(path).status_code == 404, path
        assert ann.post("/open").status_code == 404
        assert ann.get("/v1/project", headers={"Host": "evil.example"}).status_code == 421
        assert httpx.get(f"{served.address}/healthz").json()["status"] == "ok"
        # The new key and, for some days, the old one belong to the same account.
        account_id = run(services, "account-create", "Carl")["account_id"]
        rotated = run(services, "account-rotate", str(account_id))
        with served.client(rotated["api_key"]) as carl:
            assert carl.get("/v1/project/projects").json() == {"projects": []}
        missing = run(services, "account-rotate", "999999")
        assert (missing["exit_code"], missing["error"]["code"]) == (1, "account_not_found")
        credentials = ann.get(f"/v1/project/{project_id}/credentials").json()
        assert query(credentials["database_url"], "SELECT current_user")[0][0] == credentials["user"]


def test_changing_an_accounts_tier(services) -> None:
    """With custom limits. The commands print no keys except new ones."""
    created = run(services, "account-create", "Dora")
    number = str(created["account_id"])
    limits = ("--free-storage", "1MB", "--pro-storage", "2 MB", "--free-emails", "1", "--pro-emails", "2")
    with serve(services, *limits) as served, served.client(created["api_key"]) as dora:
        one = f"/v1/project/{create(dora, 'Moved')}"
        assert dora.get(f"{one}/storage").json()["usage"]["limit"] == "1 MB"
        changed = run(services, "account-tier", number, "pro")
        assert changed == {
            "account_id": created["account_id"],
            "name": "Dora",
            "tier": "pro",
            "exit_code": 0,
        }
        assert dora.get(f"{one}/storage").json()["usage"]["limit"] == "2 MB"
        listed = {entry["account_id"]: entry for entry in run(services, "account-list")["accounts"]}
        entry = listed[created["account_id"]]
        assert (entry["tier"], entry["projects"], entry["name"]) == ("pro", 1, "Dora")
        assert "mk_" not in json.dumps(listed)
    assert run(services, "account-tier", "999999", "pro")["error"]["code"] == "account_not_found"


def test_workers_are_supervised(services, key) -> None:
    """A killed worker is replaced; if the supervisor is killed, the workers stop."""
    program = (sys.executable, "-m", "mosaic_deploy", "platform", "serve", "--output", "ndjson")
    with serve(services, "--workers", "2", command=program) as served, served.client(key) as client:
        create(client, "Two")
        wait_until(lambda: len(children(served.process.pid)) == 2)
        killed = children(served.process.pid)[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(
            lambda: len(children(served.process.pid)) == 2 and killed not in children(served.process.pid)
        )
        for _ in range(20):
            with served.client(key) as other:
                assert other.get("/v1/project/projects").status_code == 200
        workers = children(served.process.pid)
        served.process.kill()
        served.process.wait()
        wait_until(lambda: not any(_lives(pid) for pid in workers))


def test_concurrent_starts_on_a_new_server(tmp_path) -> None:
    with tempfile.TemporaryDirectory(prefix="mosaic-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres_server(folder / "postgres") as url:
            environment = {**os.environ, "MOSAIC_DATABASE_URL": url}
            arguments = ("--store", f"file://{tmp_path}/store", "--base-domain", "example.com")
            services = Services(environment, "", arguments)
            with ThreadPoolExecutor(4) as threads:
                done = list(threads.map(lambda _: run(services, "prepare", *arguments), range(4)))
            assert [one["exit_code"] for one in done] == [0, 0, 0, 0], done
            control = url.replace("/postgres", "/mosaic_control")
            versions = [row[0] for row in query(control, "SELECT version FROM schema_version ORDER BY 1")]
            assert versions == list(range(1, len(versions) + 1))


@pytest.mark.parametrize(
    ("changed", "arguments", "code"),
    [
        ({"MOSAIC_DATABASE_URL": ""}, (), "database_url_invalid"),
        ({"MOSAIC_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}, (), "database_unusable"),
        ({"MOSAIC_DATABASE_URL": "nonsense"}, (), "database_url_invalid"),
        ({"AWS_SECRET_ACCESS_KEY": "another"}, (), "store_unusable"),
        ({"MOSAIC_SMTP_URL": "http://x"}, (), "smtp_url_invalid"),
        ({}, ("--store", "ftp://x"), "store_url_invalid"),
        ({}, ("--base-domain", "not a domain"), "base_domain_invalid"),
    ],
)
def test_unusable_settings_are_reported(services, changed, arguments, code) -> None:
    broken = Services({**services.environment, **changed}, "", ())
    result = run(broken, "prepare", *services.arguments, *arguments)
    assert (result["exit_code"], result["error"]["code"]) == (1, code), result
    assert "secret" not in result["error"]["message"]
    assert result["error"]["message"]


def _lives(pid: int) -> bool:
    result = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(result.stdout.strip()) and not result.stdout.startswith("Z")


def test_signing_in_to_the_dashboard(services, key) -> None:
    """With the account's key; it shows that account's projects, and changes nothing."""
    stranger = run(services, "account-create", "Bob", "--tier", "free")["api_key"]
    with serve(services) as served, served.client(key) as ann, served.client("") as browser:
        project_id = create(ann, "Ann's own")
        browser.headers.pop("X-API-Key", None)
        assert browser.get("/").status_code == 401
        host = browser.get("/").request.headers["Host"]
        own = {"Origin": f"http://{host}"}
        wrong = browser.post("/sign-in", data={"api_key": "mk_wrong"}, headers=own)
        assert (wrong.status_code, "isn't valid" in wrong.text.replace("&#39;", "'")) == (401, True)
        assert browser.post("/sign-in", data={"api_key": key}).status_code == 403
        assert browser.post("/sign-in", data={"api_key": "x" * 20_000}, headers=own).status_code == 413
        entered = browser.post("/sign-in", data={"api_key": f" {key}\n"}, headers=own)
        assert entered.status_code == 200
        assert {"HttpOnly", "SameSite=strict"} <= set(entered.headers["Set-Cookie"].split("; "))
        cookie = {"Cookie": entered.headers["Set-Cookie"].split(";")[0]}
        overview = browser.get("/", headers=cookie)
        assert "Ann&#39;s own" in overview.text
        assert key not in overview.text
        ann.post(
            f"/v1/project/{project_id}/sql",
            json={"query": "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)"},
        )
        row = "schema=public&table=t&row=%5B%221%22%5D"
        for tab in ("", "/sign-ins"):
            assert browser.get(f"/projects/{project_id}{tab}", headers=cookie).status_code == 200, tab
        for tab in (
            "sql",
            "emails",
            "requests",
            "deploys",
            "schema",
            "site",
            "storage",
            "tables",
            f"tables/row?{row}",
        ):
            assert browser.get(f"/projects/{project_id}/{tab}", headers=cookie).status_code == 404, tab
        for tab in ("tables/row", "tables/new"):
            changed = browser.post(
                f"/projects/{project_id}/{tab}", data={"row": '["1"]'}, headers={**own, **cookie}
            )
            assert changed.status_code == 404, tab
        password = ann.get(f"/v1/project/{project_id}/credentials").json()["password"]
        for tab in ("connect?reveal=1", "settings"):
            page = browser.get(f"/projects/{project_id}/{tab}", headers=cookie)
            assert (page.status_code, password in page.text, 'class="danger"' in page.text) == (
                200,
                False,
                False,
            )
        for form in ("storage/upload", "storage/delete", "settings/delete"):
            sent = browser.post(f"/projects/{project_id}/{form}", headers={**own, **cookie})
            assert sent.status_code == 404, form
        with served.client(stranger) as bob:
            other = create(bob, "Bob's")
        assert browser.get(f"/projects/{other}", headers=cookie).status_code == 404
        assert other not in browser.get("/", headers=cookie).text
        assert browser.post("/leave", headers={**own, **cookie}).status_code == 401
        assert browser.get("/", headers=cookie).status_code == 401


def test_a_session_ends_with_its_key(services) -> None:
    created = run(services, "account-create", "Eve")
    with serve(services) as served, served.client("") as browser:
        host = browser.get("/").request.headers["Host"]
        entered = browser.post(
            "/sign-in", data={"api_key": created["api_key"]}, headers={"Origin": f"http://{host}"}
        )
        cookie = {"Cookie": entered.headers["Set-Cookie"].split(";")[0]}
        assert browser.get("/", headers=cookie).status_code == 200
        run(services, "account-suspend", str(created["account_id"]))
        # The key is looked up again after five seconds.
        wait_until(lambda: browser.get("/", headers=cookie).status_code == 401)
