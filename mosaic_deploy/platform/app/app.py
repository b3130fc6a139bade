"""The ASGI application: dispatches each request to its endpoint or site, and turns every error into JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mosaic_deploy.platform.app.failures import fault_from_error
from mosaic_deploy.platform.app.metrics import is_metrics_request, show_metrics
from mosaic_deploy.platform.app.routes import API, LOCAL_ROUTES, OPERATIONS, Endpoint, Match, RouteTable
from mosaic_deploy.platform.auth import magic_link
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.hosting import live_reload, sites
from mosaic_deploy.platform.http.body_memory import ACCOUNT_SCOPE_KEY, MEMORY
from mosaic_deploy.platform.http.logs import log_request
from mosaic_deploy.platform.http.request_journal import RequestRecord
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.services import Platform

log = logging.getLogger(__name__)

_VERIFY_PATH = ".mosaic/auth/verify"
_SITES_PREFIX = "/sites/"
# Entries of the request's scope: the route pattern it matched, and when its API key expires, if it does.
_ROUTE_SCOPE_KEY = "mosaic.route"
_KEY_EXPIRES_SCOPE_KEY = "mosaic.key_expires"
_PROJECT_SCOPE_KEY = "mosaic.project"
_ERROR_SCOPE_KEY = "mosaic.error"
_MAX_ERROR = 4000
# Sites under /sites/ share the dashboard's origin; the sandbox gives their scripts an opaque one.
_SITES_SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"

# What a page loads and any page could run. The opaque origin makes these requests cross-origin. Not pages and data: other sites
# in the user's browser could read them.
_LOADED_TYPES = ("text/javascript", "text/css", "font/", "application/wasm", "application/manifest+json")


class App:
    """The ASGI application of one running platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        api = [(one.method, one.path, (one.endpoint, True)) for one in OPERATIONS]
        local = [(method, path, (endpoint, needs_key)) for method, path, needs_key, endpoint in LOCAL_ROUTES]
        self._table: RouteTable[tuple[Endpoint, bool]] = RouteTable([*api, *local])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = secrets.token_hex(8)
        started = time.perf_counter()
        status = 0
        complete = False
        journal = self._platform.journal
        journal.in_flight += 1

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                if expires := scope.get(_KEY_EXPIRES_SCOPE_KEY):
                    message["headers"].append((b"x-api-key-expires", expires.encode()))
            await send(message)

        try:
            request = Request(scope, receive)
            response = await self._respond(request, request_id)
            await response(scope, receive, send_with_headers)
            complete = True
        except Exception as error:
            message_text = " ".join(str(error).split()) or type(error).__name__
            log.warning("cut off", extra={"fields": {"request_id": request_id, "message": message_text}})
            raise
        except asyncio.CancelledError:
            # The server cancels requests only when it stops.
            if status:
                raise
            await _stopping_response(request_id)(scope, receive, send_with_headers)
            complete = True
        finally:
            MEMORY.release(scope)
            journal.in_flight -= 1
            milliseconds = (time.perf_counter() - started) * 1000
            request_record = _request_record(scope, request_id, status, milliseconds, complete=complete)
            journal.add(request_record)
            log_request(request_record)

    async def _respond(self, request: Request, request_id: str) -> Response:
        try:
            _refuse_two_framings(request)
            return await self._dispatch(request)
        except Fault as fault:
            return _error_response(request, fault, request_id)
        except Exception as error:
            if known := fault_from_error(error):
                message_text = " ".join(str(error).split())
                log.warning("failed", extra={"fields": {"request_id": request_id, "message": message_text}})
                return _error_response(request, known, request_id)
            log.exception("failed", extra={"fields": {"request_id": request_id, "message": "failed"}})
            message = "internal error; look up this request ID in the platform's log"
            return _error_response(request, Fault(500, "internal_error", message), request_id)

    async def _dispatch(self, request: Request) -> Response:
        path: str = request.scope["path"]
        hosts = self._platform.hosts
        if is_metrics_request(self._platform, request):
            request.scope[_ROUTE_SCOPE_KEY] = "/metrics"
            if path != "/metrics":
                raise Fault(404, "not_found", "only /metrics is served on this address")
            return await show_metrics(self._platform, request)
        try:
            project_id = hosts.project_id_from_host(request.headers.get("host", ""))
        except Fault:
            # Load balancers reach each server by its own address.
            if hosts.strict or path != "/healthz":
                raise
            return await self._run_operation(request, path)
        if project_id is None and path == "/metrics" and not hosts.strict:
            raise Fault(404, "not_found", "/metrics is served only on the address that --metrics names")
        if project_id is not None:
            return await self._serve_site(request, project_id, path.removeprefix("/"), "")
        if path.startswith(_SITES_PREFIX):
            project_id, slash, rest = path.removeprefix(_SITES_PREFIX).partition("/")
            if not slash:
                return Response(
                    status_code=308, headers={"Location": f"{_SITES_PREFIX}{_plain_project_id(project_id)}/"}
                )
            response = await self._serve_site(
                request, project_id, rest, _SITES_PREFIX + _plain_project_id(project_id)
            )
            # Storage files already have a stricter one.
            response.headers.setdefault("Content-Security-Policy", _SITES_SANDBOX)
            if response.headers.get("Content-Type", "").startswith(_LOADED_TYPES):
                response.headers["Access-Control-Allow-Origin"] = "*"
            return response
        return await self._run_operation(request, path)

    async def _serve_site(self, request: Request, project_id: str, path: str, prefix: str) -> Response:
        request.scope[_ROUTE_SCOPE_KEY] = "site"
        request.scope[_PROJECT_SCOPE_KEY] = project_id
        if path == _VERIFY_PATH and request.method == "POST":
            return await magic_link.verify_on_site(self._platform, request, project_id)
        if not prefix:
            return await live_reload.serve(self._platform, project_id, path, request)
        return await sites.serve(self._platform, project_id, path, prefix, request)

    async def _run_operation(self, request: Request, path: str) -> Response:
        platform = self._platform
        below_api = path == API or path.startswith(API + "/")
        if below_api:
            platform = await self._authenticate(request)
            # Clients that join the base URL with an empty path send a trailing slash.
            path = API if path == API + "/" else path
        found = self._table.match(request.method, path)
        if found is None:
            raise Fault(404, "not_found", f"no endpoint at {path}; GET {API} lists all endpoints")
        if not isinstance(found, Match):
            allowed = ", ".join(found)
            message = f"{request.method} isn't allowed on {path}; allowed: {allowed}"
            raise Fault(405, "method_not_allowed", message, headers={"Allow": allowed})
        request.scope[_ROUTE_SCOPE_KEY] = found.path
        endpoint, needs_key = found.target
        if needs_key and not below_api:
            platform = await self._authenticate(request)
        request.scope["path_params"] = found.params
        return await endpoint(platform, request)

    async def _authenticate(self, request: Request) -> Platform:
        """The platform for the account of the request's API key; raises Fault if the key isn't valid."""
        platform = self._platform
        given = request.headers.get("x-api-key")
        entry = await platform.authenticator.authenticate(platform.pool, given, local=platform.local)
        if entry.key_expires_at is not None:
            request.scope[_KEY_EXPIRES_SCOPE_KEY] = entry.key_expires_at.isoformat(timespec="seconds")
        request.scope[ACCOUNT_SCOPE_KEY] = entry.account_id
        return platform.for_account(entry.account_id)


def _request_record(
    scope: Scope, request_id: str, status: int, milliseconds: float, *, complete: bool
) -> RequestRecord:
    """Without the query, which may hold an upload's signature or a sign-in token."""
    client = scope.get("client")
    return RequestRecord(
        request_id,
        scope["method"],
        scope["path"],
        scope.get(_ROUTE_SCOPE_KEY, "unmatched"),
        status,
        milliseconds,
        client=client[0] if client else "",
        cut_off=not complete,
        project_id=scope.get(_PROJECT_SCOPE_KEY) or scope.get("path_params", {}).get("project_id", ""),
        error=scope.get(_ERROR_SCOPE_KEY, ""),
    )


def _error_response(request: Request, fault: Fault, request_id: str) -> Response:
    document = fault.document(request_id)
    request.scope[_ERROR_SCOPE_KEY] = json.dumps(document, indent=1, ensure_ascii=False)[:_MAX_ERROR]
    return JsonResponse(document, fault.status, fault.headers)


def _refuse_two_framings(request: Request) -> None:
    """A proxy in front may see another request's beginning in a body that both headers describe. Raises Fault."""
    if "content-length" in request.headers and "transfer-encoding" in request.headers:
        message = "the request has both Content-Length and Transfer-Encoding"
        raise Fault(400, "http_invalid", message, headers={"Connection": "close"})


def _stopping_response(request_id: str) -> Response:
    message = "the platform is stopping and didn't finish this request in time; check whether it took effect, then send it again"
    fault = Fault(503, "platform_stopping", message, headers={"Retry-After": "1", "Connection": "close"})
    return JsonResponse(fault.document(request_id), fault.status, fault.headers)


def _plain_project_id(project_id: str) -> str:
    return "".join(
        letter for letter in project_id if letter.isascii() and (letter.isalnum() or letter == "-")
    )
