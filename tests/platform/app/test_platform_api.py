"""API keys, hosts, the format of errors, discovery, projects, credentials and tickets."""

from __future__ import annotations

import re

import httpx
import psycopg
import pytest


def assert_error(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    document = response.json()
    assert document["success"] is False
    assert document["error"]["code"] == code
    assert document["error"]["message"]
    assert document["request_id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "mk_wrong"}, {"X-API-Key": "é".encode()}])
def test_every_endpoint_needs_a_valid_key(api, platform, headers) -> None:
    for path in ("", "/projects", "/nothing/here", "/pod-16f/sql"):
        response = api.plain.get(f"{platform.url}/v1/project{path}", headers=headers)
        assert_error(response, 401, "api_key_invalid" if headers else "api_key_missing")
        assert ("mosaic-deploy local key" in response.json()["error"]["message"]) == bool(headers)
    for path in ("/inbox.json", "/inbox/1.json"):
        assert api.plain.get(platform.url + path, headers=headers).status_code == 401


def test_unknown_paths_and_wrong_methods(api) -> None:
    assert_error(api.get("/a/b/c/d"), 404, "not_found")
    assert_error(api.plain.get(api.root + "/nope"), 404, "not_found")
    wrong = api.patch("/projects")
    assert_error(wrong, 405, "method_not_allowed")
    assert wrong.headers["Allow"] == "GET, HEAD, POST"
    assert_error(api.get("/pod-000/files"), 404, "project_not_found")
    assert_error(api.get("/%00/files"), 404, "project_not_found")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b'{"name": NaN}', b'{"name": "\xff"}', b'{"name":"\\ud800"}', b"[" * 100_000],
)
def test_bodies_must_be_json_objects(api, body) -> None:
    assert_error(api.post("/projects", content=body), 400, "json_invalid")


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nBcc: b@example.com"])
def test_project_names_are_checked(api, name) -> None:
    assert_error(api.post("/projects", json={"name": name}), 400, "name_invalid")
    assert_error(api.post("/projects", json={"name": 1}), 400, "field_invalid")


def test_foreign_hosts_are_rejected(api, platform) -> None:
    for host in (
        "evil.example",
        "evil.example:8787",
        "127.0.0.1.evil.example",
        "a.b.localhost",
        "",
        "localhost.evil",
    ):
        for path in ("/", "/healthz", "/v1/project"):
            assert_error(api.plain.get(platform.url + path, headers={"Host": host}), 421, "host_not_served")
    for host in ("localhost", "127.0.0.1", f"LOCALHOST:{platform.port}", f"[::1]:{platform.port}"):
        assert api.plain.get(f"{platform.url}/healthz", headers={"Host": host}).json()["status"] == "ok"


def test_discovery_lists_existing_endpoints(api) -> None:
    endpoints = api.get("").json()["endpoints"]
    assert api.plain.get(f"{api.root}/v1/project", headers=api.headers).json()["endpoints"] == endpoints
    assert {"operation", "method", "path", "description"} == set(endpoints[0])
    listed = {(one["method"], one["path"]) for one in endpoints}
    assert ("POST", "/v1/project/{project_id}/sql") in listed
    assert ("DELETE", "/v1/project/{project_id}/files/{filename}") in listed
    for method, path in listed:
        real = re.sub(r"\{\w+\}", "x", path).removeprefix("/v1/project")
        response = api.request(method, real, json={"filename": "a", "size": 1, "content": "a", "name": ""})
        assert response.status_code not in (401, 405, 500), (method, path, response.text)


def test_project_lifecycle(api) -> None:
    made = api.post("/projects", json={"name": "My App"})
    assert made.status_code == 201
    document = made.json()
    assert re.fullmatch(r"[a-z]+-[a-z0-9]{3}", document["project_id"])
    assert document["status"] == "provisioning"
    assert document["url"] == f"http://{document['project_id']}.localhost:{api.root.rpartition(':')[2]}"
    while (listed := _project(api, document["project_id"]))["status"] != "running":
        assert listed["name"] == "My App"
    api.put_file(document["project_id"], "index.html", "x")
    assert api.delete(f"/projects/{document['project_id']}").json()["success"] is True
    assert_error(api.get(f"/{document['project_id']}/files"), 404, "project_not_found")
    assert api.site(document["project_id"], "/").status_code == 404


def _project(api, project_id: str) -> dict[str, str]:
    found = [one for one in api.get("/projects").json()["projects"] if one["project_id"] == project_id]
    return found[0]


def test_credentials_work_with_a_driver(api, project) -> None:
    project_id = project()
    credentials = api.get(f"/{project_id}/credentials").json()
    name = "tenant_" + project_id.replace("-", "_")
    assert credentials["database"] == credentials["user"] == name
    assert (credentials["host"], credentials["project_id"]) == ("127.0.0.1", project_id)
    with psycopg.connect(credentials["database_url"]) as connection:
        row = connection.execute("SELECT current_user, current_database()").fetchone()
        assert row == (name, name)


def test_tickets(api, project) -> None:
    first = api.post("/tickets", json={"subject": "Help", "message": "It fails", "project_id": project()})
    assert first.status_code == 201
    assert first.json()["status"] == "open"
    assert first.json()["message"] == "Ticket submitted successfully."
    second = api.post("/tickets", json={"subject": "Help", "message": "Again"}).json()
    assert second["ticket_id"] == first.json()["ticket_id"] + 1
    assert api.get("/tickets").json()["tickets"][0]["message"] == "Again"
    assert_error(api.post("/tickets", json={"subject": " ", "message": "x"}), 400, "field_invalid")
    unknown = {"subject": "x", "message": "x", "project_id": "pod-000"}
    assert_error(api.post("/tickets", json=unknown), 404, "project_not_found")
