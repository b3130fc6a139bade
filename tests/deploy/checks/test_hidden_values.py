"""No check shows a value that came from a variable, whether it passes or fails, and what was sent is the real value."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mosaic_deploy.deploy.checks import sql_check
from mosaic_deploy.deploy.checks.outcome import CheckResult
from mosaic_deploy.deploy.checks.run_checks import run_checks
from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.manifest import HttpCheck, MagicLinkCheck, Manifest, SqlCheck, VerifySpec
from mosaic_deploy.model.snapshot import Project
from mosaic_deploy.model.variable_value import VariableValue

MARKER = "hidden-marker-value"


def hidden(form: str = "{}") -> VariableValue:
    return VariableValue(form.format("${V}"), form.format(MARKER), {"${V}": MARKER})


class _Echo(BaseHTTPRequestHandler):
    """Repeats everything it is sent, in its headers and its body."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        sent = {"path": self.path, "headers": dict(self.headers), "body": body}
        self.server.sent.append(sent)  # type: ignore[attr-defined]
        content = json.dumps(sent).encode()
        self.send_response(302 if self.path.startswith("/moved") else 200)
        self.send_header("Location", self.path)
        self.send_header("X-Echo", repr(sent))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    found = HTTPServer(("127.0.0.1", 0), _Echo)
    found.sent = []  # type: ignore[attr-defined]
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


def _said(verify: VerifySpec, url: str) -> str:
    manifest, said = Manifest(Path("mosaic.yaml"), verify=verify), ""
    with Api(url, ApiKey("mk_x")) as api:
        for each in run_checks(api, Project("p", "p", url), manifest, wait=0):
            if isinstance(each, CheckResult):
                said += f"{each.check.name}: {each.outcome.status} {each.outcome.message}\n"
    return said


HTTP: dict[str, list[HttpCheck]] = {
    "path": [HttpCheck(hidden("/{}")), HttpCheck(hidden("/{}"), status=500), HttpCheck(hidden("/moved/{}"))],
    "method": [HttpCheck("/", hidden())],
    "headers": [
        HttpCheck("/", headers={"X-A": hidden()}, contains="nothing"),
        HttpCheck("/", headers={"X-A": hidden()}, json={"headers": "x"}),
        HttpCheck("/", headers={"X-A": hidden()}, response_headers={"X-Echo": "nothing"}),
        HttpCheck("/", headers={"X-A": hidden("bad\n{}")}),
    ],
    "body": [HttpCheck("/", "POST", body=hidden(), json={"body": "x"})],
    "status": [HttpCheck("/", status=VariableValue("${V}", 54321))],
    "response_headers": [HttpCheck("/", response_headers={"X-Echo": hidden()})],
    "contains": [HttpCheck("/", contains=hidden())],
    "json": [HttpCheck("/", json={"path": hidden()}), HttpCheck("/", json={"body": hidden()})],
    "max_ms": [HttpCheck("/", max_ms=VariableValue("${V}", -54321))],
}


@pytest.mark.parametrize("field", HTTP)
def test_http(field: str, server: HTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    for check in HTTP[field]:
        said = _said(VerifySpec(http=(check,)), url)
        assert MARKER not in said
        assert MARKER[:10] not in said
        assert "54321" not in said
        assert "failed" in said or field == "path"
    if field in ("path", "headers", "body"):
        assert MARKER in repr(server.sent)  # type: ignore[attr-defined]


SQL: dict[str, SqlCheck] = {
    "query": SqlCheck(hidden("SELECT '{}'")),
    "rows": SqlCheck("SELECT 1", rows=VariableValue("${V}", 54321)),
    "value": SqlCheck("SELECT 1", value=hidden(), has_value=True),
}


@pytest.mark.parametrize("field", SQL)
@pytest.mark.parametrize("answer", ["error", "rows"])
def test_sql(field: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class _Result:
        total = 3
        rows = ({"a": f"it is {MARKER}, " * 20},)

    def run(_: object, __: str, query: Any) -> _Result:
        if answer == "error":
            raise SqlFailed(f'invalid input syntax: "{query}, {MARKER}"')
        return _Result()

    monkeypatch.setattr(sql_check, "run_read_only", run)
    other = SQL["query"]  # its marker must not show in the result of another check, either
    said = _said(VerifySpec(sql=(SQL[field], other)), "http://127.0.0.1:9")
    assert MARKER not in said
    assert MARKER[:10] not in said
    assert "54321" not in said
    assert "${V}" in said


@pytest.mark.parametrize(
    "check", [MagicLinkCheck(hidden("{}@example.com"), "/"), MagicLinkCheck(redirect_url=hidden("/{}"))]
)
def test_magic_link(check: MagicLinkCheck, server: HTTPServer) -> None:
    said = _said(VerifySpec(magic_link=check), f"http://127.0.0.1:{server.server_port}")
    assert MARKER not in said
    assert MARKER[:10] not in said


def test_every_field_of_every_check_is_tried() -> None:
    assert {each.name for each in fields(HttpCheck)} == HTTP.keys()
    assert {each.name for each in fields(SqlCheck)} == {*SQL, "has_value"}
    assert {each.name for each in fields(MagicLinkCheck)} == {"email", "redirect_url"}
