"""The web application: from a request to the right operation, and from anything that goes wrong to JSON."""

from __future__ import annotations

import logging
import secrets
import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mosaic_deploy.platform.app.failures import fault_of
from mosaic_deploy.platform.app.routes import API, LOCAL, OPERATIONS, Endpoint, Match, PathTable
from mosaic_deploy.platform.auth import magic_link
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.hosting import live_reload, sites
from mosaic_deploy.platform.http.logs import log_answered
from mosaic_deploy.platform.http.request_journal import Answered
from mosaic_deploy.platform.http.responses import Json
from mosaic_deploy.platform.services import Platform

log = logging.getLogger("mosaic_deploy.platform.app.app")

_VERIFY = ".mosaic/auth/verify"
_SITES = "/sites/"
_BY_ADDRESS = ("/healthz", "/metrics")
# Where a request's scope says which of the known patterns it matched.
_ROUTE = "mosaic.route"
# And until when the key is good that it came with, where that has been replaced.
_EXPIRES = "mosaic.key_expires"
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
        journal = self._platform.journal
        journal.under_way += 1

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                if expires := scope.get(_EXPIRES):
                    message["headers"].append((b"x-api-key-expires", expires.encode()))
            await send(message)

        try:
            request = Request(scope, receive)
            response = await self._answer(request, request_id)
            await response(scope, receive, send_marked)
        finally:
            journal.under_way -= 1
            spent = (time.perf_counter() - started) * 1000
            route = scope.get(_ROUTE, "unmatched")
            # The path has no query: an upload's signature and a sign-in token would be in it.
            answered = Answered(request_id, scope["method"], scope["path"], route, status, spent)
            journal.add(answered)
            log_answered(answered)

    async def _answer(self, request: Request, request_id: str) -> Response:
        try:
            return await self._dispatch(request)
        except Fault as fault:
            return Json(fault.document(request_id), fault.status, fault.headers)
        except Exception as error:
            if known := fault_of(error):
                said = " ".join(str(error).split())
                log.warning("failed", extra={"fields": {"request_id": request_id, "message": said}})
                return Json(known.document(request_id), known.status, known.headers)
            log.exception("failed", extra={"fields": {"request_id": request_id, "message": "failed"}})
            failure = Fault(500, "internal_error", "the platform failed; its log has this request's id")
            return Json(failure.document(request_id), 500)

    async def _dispatch(self, request: Request) -> Response:
        path: str = request.scope["path"]
        hosts = self._platform.hosts
        try:
            project_id = hosts.site_of(request.headers.get("host", ""))
        except Fault:
            # A load balancer, or Prometheus, asks each worker by its address.
            if hosts.strict or path not in _BY_ADDRESS:
                raise
            return await self._operation(request, path)
        if project_id is None and path == "/metrics" and not hosts.strict:
            raise Fault(404, "not_found", "metrics are given to whoever asks a worker by its address")
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
        request.scope[_ROUTE] = "site"
        if path == _VERIFY and request.method == "POST":
            return await magic_link.verify_on_site(self._platform, request, project_id)
        if not prefix:
            return await live_reload.serve(self._platform, project_id, path, request)
        return await sites.serve(self._platform, project_id, path, prefix, request)

    async def _operation(self, request: Request, path: str) -> Response:
        platform = self._platform
        below_api = path == API or path.startswith(API + "/")
        if below_api:
            platform = await self._entered(request)
            # Clients that join a base URL with an empty path ask for the discovery with a slash.
            path = API if path == API + "/" else path
        found = self._table.match(request.method, path)
        if found is None:
            raise Fault(404, "not_found", f"there is nothing at {path}")
        if not isinstance(found, Match):
            allowed = ", ".join(found)
            raise Fault(405, "method_not_allowed", f"{path} allows {allowed}", headers={"Allow": allowed})
        request.scope[_ROUTE] = found.path
        endpoint, keyed = found.target
        if keyed and not below_api:
            platform = await self._entered(request)
        request.scope["path_params"] = found.params
        return await endpoint(platform, request)

    async def _entered(self, request: Request) -> Platform:
        """The platform as the account of the request's key sees it."""
        platform = self._platform
        given = request.headers.get("x-api-key")
        entry = await platform.doorkeeper.entry(platform.pool, given, local=platform.local)
        if entry.expires is not None:
            request.scope[_EXPIRES] = entry.expires.isoformat(timespec="seconds")
        return platform.seen_by(entry.account_id)


def _plain(project_id: str) -> str:
    return "".join(
        letter for letter in project_id if letter.isascii() and (letter.isalnum() or letter == "-")
    )
