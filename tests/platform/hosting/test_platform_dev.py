"""Live reload: a script in HTML pages during a dev session, and nowhere else."""

from __future__ import annotations

import json
import threading

import httpx
import pytest

BROWSER = {"Accept": "text/html,*/*", "Accept-Encoding": "gzip", "If-None-Match": "*"}
PAGE = "<!doctype html><h1>" + "hello " * 500
TAG = '<script src="/__mosaic_dev/client.js"></script>'


@pytest.fixture
def dev(api, project):
    """A project with a page, a stylesheet and a session."""
    return Dev(api, project("Followed"))


class Dev:
    def __init__(self, api, project_id: str) -> None:
        self.api, self.id = api, project_id
        self.put("index.html", PAGE)
        self.put("style.css", "body {}")
        self.host = {"Host": f"{project_id}.localhost"}

    def put(self, name: str, content: str) -> None:
        created = self.api.post(f"/{self.id}/files", json={"filename": name, "content": content})
        assert created.status_code == 201

    def send(self, kind: str, **more: object) -> httpx.Response:
        return self.api.post(f"{self.api.root}/dev/{self.id}", json={"type": kind, **more})

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.api.root + path, headers={**self.host, **headers})


def test_pages_have_the_script_only_during_a_session(dev) -> None:
    assert dev.get("/", **BROWSER).status_code == 304
    assert dev.get("/__mosaic_dev/client.js").status_code == 404
    assert dev.send("heartbeat").json()["expires_in"] > 0
    page = dev.get("/", **BROWSER)
    assert page.text == PAGE + f"\n{TAG}\n"
    assert page.headers["cache-control"] == "no-store"
    assert "etag" not in page.headers
    assert page.headers["content-type"].startswith("text/html")
    assert "EventSource" in dev.get("/__mosaic_dev/client.js").text
    assert dev.get("/no such page", **BROWSER).status_code == 404
    assert TAG in dev.get("/no such page", **BROWSER).text
    dev.send("end")
    assert dev.get("/", Accept="text/html").text == PAGE
    assert dev.get("/__mosaic_dev/client.js").status_code == 404


def test_other_responses_are_unchanged(dev) -> None:
    dev.send("heartbeat")
    assert dev.get("/").text == PAGE
    assert dev.get("/style.css", Accept="text/html").text == "body {}"
    assert TAG not in httpx.get(f"{dev.api.root}/sites/{dev.id}/", headers=BROWSER).text
    [page, _] = dev.api.get(f"/{dev.id}/files").json()["files"]
    assert page["size"] == len(PAGE)
    head = httpx.head(dev.api.root + "/", headers={**dev.host, "Accept": "text/html"})
    assert "etag" in head.headers


def test_a_session_needs_the_local_key(dev) -> None:
    for key in ({}, {"X-API-Key": "mk_wrong"}):
        refused = httpx.post(f"{dev.api.root}/dev/{dev.id}", headers=key, json={"type": "heartbeat"})
        assert refused.status_code == 401
    assert dev.api.post(f"{dev.api.root}/dev/not-there", json={"type": "heartbeat"}).status_code == 404
    assert dev.send("dance").status_code == 400
    assert dev.api.post(f"{dev.api.root}/dev/{dev.id}", json={}).status_code == 400


def test_messages_reach_open_pages(dev) -> None:
    dev.send("heartbeat")
    links = {"mosaic.yaml:1:2": "vscode://file/x:1:2", "a": "javascript://x", "b": "x", "": "a://b"}
    dev.send("error", lines=["error[x]: <b>", "mosaic.yaml:1:2"], links=links)
    received = []
    ready = threading.Event()

    def listen() -> None:
        with httpx.stream(
            "GET", dev.api.root + "/__mosaic_dev/events", headers=dev.host, timeout=30
        ) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    received.append(json.loads(line[6:]))
                    ready.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert ready.wait(30)
    dev.send("resolved")
    dev.send("resolved")
    dev.send("deployed", paths=["style.css"])
    dev.send("end")
    listener.join(30)
    assert not listener.is_alive()
    hello, resolved, deployed = received
    assert hello["type"] == "hello"
    assert hello["error"] == {
        "lines": ["error[x]: <b>", "mosaic.yaml:1:2"],
        "links": {"mosaic.yaml:1:2": "vscode://file/x:1:2"},
        "draft": False,
    }
    assert resolved == {"type": "resolved"}
    assert (deployed["type"], deployed["paths"]) == ("deployed", ["style.css"])
    assert deployed["version"] != hello["version"]


def test_new_emails_are_in_the_response(dev) -> None:
    first = dev.send("heartbeat").json()
    assert first["emails"] == []
    dev.api.post(f"/{dev.id}/auth/magic-link", json={"email": "ada@example.com"})
    response = dev.send("heartbeat", emails_after=first["last_email"]).json()
    [email] = response["emails"]
    assert email["to"] == "ada@example.com"
    assert email["link"].startswith("http")
    assert dev.send("heartbeat", emails_after=response["last_email"]).json()["emails"] == []
