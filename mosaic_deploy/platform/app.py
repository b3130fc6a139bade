"""The web application: from a request to the right operation, and from anything that goes wrong to JSON."""

from __future__ import annotations

import logging
import secrets
import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mosaic_deploy.platform import auth, sites
from mosaic_deploy.platform.accounts import check_key
from mosaic_deploy.platform.answer import Json
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.paths import Match, PathTable
from mosaic_deploy.platform.routes import API, LOCAL, OPERATIONS, Endpoint

log = logging.getLogger("mosaic_deploy.platform.requests")

_OWN_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_VERIFY = ".mosaic/auth/verify"
_SITES = "/sites/"
# A page under /sites/ shares the dashboard's origin; the sandbox takes that away from its scripts.
_SANDBOX = {
    "Content-Security-Policy": "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"
}


class App:
    """The ASGI application of one running platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        api = [(one.method, one.path, (one.endpoint, True)) for one in OPERATIONS]
        local = [(method, path, (endpoint, keyed)) for method, path, keyed, endpoint in LOCAL]
        self._table: PathTable[tuple[Endpoint, bool]] = PathTable([*api, *local])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = secrets.token_hex(8)
        started = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            request = Request(scope, receive)
            response = await self._answer(request, request_id)
            await response(scope, receive, send_marked)
        finally:
            spent = (time.perf_counter() - started) * 1000
            # No query: an upload's signature and a sign-in token would be in it.
            log.info("%s %s %s %d %.1fms", request_id, scope["method"], ascii(scope["path"]), status, spent)

    async def _answer(self, request: Request, request_id: str) -> Response:
        try:
            return await self._dispatch(request)
        except Fault as fault:
            return Json(fault.document(request_id), fault.status, fault.headers)
        except Exception:
            log.exception("%s failed", request_id)
            failure = Fault(500, "internal_error", "the platform failed; its log has this request's id")
            return Json(failure.document(request_id), 500)

    async def _dispatch(self, request: Request) -> Response:
        project_id = _site_of(request.headers.get("host", ""))
        path: str = request.scope["path"]
        if project_id is not None:
            return await self._site(request, project_id, path.removeprefix("/"), "")
        if path.startswith(_SITES):
            project_id, slash, rest = path.removeprefix(_SITES).partition("/")
            if not slash:
                return Response(status_code=308, headers={"Location": f"{_SITES}{_plain(project_id)}/"})
            response = await self._site(request, project_id, rest, _SITES + _plain(project_id))
            response.headers.update(_SANDBOX)
            return response
        return await self._operation(request, path)

    async def _site(self, request: Request, project_id: str, path: str, prefix: str) -> Response:
        if path == _VERIFY and request.method == "POST":
            return await auth.verify_on_site(self._platform, request, project_id)
        return await sites.serve(self._platform, project_id, path, prefix, request)

    async def _operation(self, request: Request, path: str) -> Response:
        if path == API or path.startswith(API + "/"):
            self._check_key(request)
            # Clients that join a base URL with an empty path ask for the discovery with a slash.
            path = API if path == API + "/" else path
        found = self._table.match(request.method, path)
        if found is None:
            raise Fault(404, "not_found", f"there is nothing at {path}")
        if not isinstance(found, Match):
            allowed = ", ".join(found)
            raise Fault(405, "method_not_allowed", f"{path} allows {allowed}", headers={"Allow": allowed})
        endpoint, keyed = found.target
        if keyed:
            self._check_key(request)
        request.scope["path_params"] = found.params
        return await endpoint(self._platform, request)

    def _check_key(self, request: Request) -> None:
        check_key(request.headers.get("x-api-key"), self._platform.state.api_key)


def _site_of(host: str) -> str | None:
    """The project a Host header names, None for the platform itself. Other hosts are refused: a stranger's
    name that resolves to this machine (DNS rebinding) must not reach it."""
    name = host.lower()
    if not name.endswith("]"):
        head, colon, port = name.rpartition(":")
        if colon and port.isdecimal():
            name = head
    if name in _OWN_HOSTS:
        return None
    label = name.removesuffix(".localhost")
    if label != name and label and "." not in label:
        return label
    message = "only 127.0.0.1, localhost and *.localhost are served here"
    raise Fault(421, "host_not_served", message)


def _plain(project_id: str) -> str:
    return "".join(
        letter for letter in project_id if letter.isascii() and (letter.isalnum() or letter == "-")
    )
