"""All routes: the API's operations, the embedded platform's own pages, and how paths are matched to them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.accounts import local_key
from mosaic_deploy.platform.app import metrics
from mosaic_deploy.platform.auth import inbox, magic_link
from mosaic_deploy.platform.dashboard import routes as dashboard
from mosaic_deploy.platform.hosting import live_reload, static
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.projects import drafts, projects, rehearsals, tickets
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.sql import endpoint as sql_endpoint
from mosaic_deploy.platform.storage import storage

Target = TypeVar("Target")


@dataclass(frozen=True)
class Match(Generic[Target]):
    """A route's target, the decoded values of the pattern's parameters, and the pattern."""

    target: Target
    params: dict[str, str]
    path: str


class RouteTable(Generic[Target]):
    """The first pattern that matches wins. HEAD is allowed wherever GET is."""

    def __init__(self, entries: Iterable[tuple[str, str, Target]]) -> None:
        by_path: dict[str, dict[str, Target]] = {}
        for method, path, target in entries:
            by_path.setdefault(path, {})[method] = target
        self._patterns = [(_compile_pattern(path), path, methods) for path, methods in by_path.items()]

    def match(self, method: str, path: str) -> Match[Target] | list[str] | None:
        """The match; the allowed methods if only the method is wrong; None if no pattern matches."""
        allowed: set[str] = set()
        for pattern, path_pattern, methods in self._patterns:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            target = methods.get("GET" if method == "HEAD" else method)
            if target is not None:
                return Match(target, found.groupdict(), path_pattern)
            allowed.update(methods)
        if "GET" in allowed:
            allowed.add("HEAD")
        return sorted(allowed) or None


def _compile_pattern(path: str) -> re.Pattern[str]:
    """`{filename}` matches slashes too; every other parameter is one path segment."""
    pieces = re.split(r"\{(\w+)\}", path)
    names = pieces[1::2]
    pattern = re.escape(pieces[0])
    for name, literal in zip(names, pieces[2::2], strict=True):
        value = ".+" if name == "filename" else "[^/]+"
        pattern += f"(?P<{name}>{value})" + re.escape(literal)
    return re.compile(pattern, re.DOTALL)


Endpoint = Callable[[Platform, Request], Awaitable[Response]]

API = "/v1/project"
PROJECT = API + "/{project_id}"


@dataclass(frozen=True)
class Operation:
    """One operation of the API. Every request needs an API key."""

    name: str
    method: str
    path: str
    description: str
    endpoint: Endpoint


async def discover(_platform: Platform, _request: Request) -> Response:
    return JsonResponse(
        {
            "endpoints": [
                {
                    "operation": operation.name,
                    "method": operation.method,
                    "path": operation.path,
                    "description": operation.description,
                }
                for operation in OPERATIONS
            ],
            "limits": {
                "static_file_bytes": static.SIZE_LIMIT,
                "sql_request_bytes": request_body.JSON_LIMIT,
            },
        }
    )


OPERATIONS = (
    Operation("discover", "GET", API, "List all endpoints", discover),
    Operation("list_projects", "GET", API + "/projects", "List projects", projects.list_projects),
    Operation("create_project", "POST", API + "/projects", "Create a project", projects.create_project),
    Operation(
        "delete_project",
        "DELETE",
        API + "/projects/{project_id}",
        "Delete a project with its database and files",
        projects.delete_project,
    ),
    Operation("list_tickets", "GET", API + "/tickets", "List support tickets", tickets.list_tickets),
    Operation("show_ticket", "GET", API + "/tickets/{ticket_id}", "Show a ticket", tickets.show_ticket),
    Operation("submit_ticket", "POST", API + "/tickets", "Submit a support ticket", tickets.submit_ticket),
    Operation(
        "credentials",
        "GET",
        PROJECT + "/credentials",
        "Show the database credentials",
        sql_endpoint.show_credentials,
    ),
    Operation("run_sql", "POST", PROJECT + "/sql", "Run SQL in the project's database", sql_endpoint.run_sql),
    Operation("list_files", "GET", PROJECT + "/files", "List static files", static.list_files),
    Operation("upload_file", "POST", PROJECT + "/files", "Upload a static file", static.put_file),
    Operation(
        "delete_file", "DELETE", PROJECT + "/files/{filename}", "Delete a static file", static.delete_file
    ),
    Operation(
        "storage_upload",
        "POST",
        PROJECT + "/storage/upload",
        "Get an upload URL for storage",
        storage.create_upload,
    ),
    Operation(
        "list_storage", "GET", PROJECT + "/storage", "List storage files and usage", storage.list_storage
    ),
    Operation(
        "delete_object",
        "DELETE",
        PROJECT + "/storage/{filename}",
        "Delete a storage file",
        storage.delete_storage_file,
    ),
    Operation(
        "magic_link",
        "POST",
        PROJECT + "/auth/magic-link",
        "Send a magic link by email",
        magic_link.send_magic_link,
    ),
    Operation(
        "verify_token",
        "POST",
        PROJECT + "/auth/verify",
        "Verify a magic link's token",
        magic_link.verify_token,
    ),
    Operation(
        "read_auth_settings",
        "GET",
        PROJECT + "/auth/settings",
        "Read auth settings",
        magic_link.read_settings,
    ),
    Operation(
        "write_auth_settings",
        "PUT",
        PROJECT + "/auth/settings",
        "Write auth settings",
        magic_link.write_settings,
    ),
)

# Routes outside the API: dashboard, inbox, dev sessions, health. (method, path, needs the API key, endpoint)
LOCAL_ROUTES: tuple[tuple[str, str, bool, Endpoint], ...] = (
    ("GET", "/metrics", False, metrics.show_metrics),
    ("POST", "/key/rotate", True, local_key.rotate_now),
    ("POST", "/rehearsal", True, rehearsals.update_rehearsal),
    ("POST", "/dev/{project_id}", True, live_reload.update_session),
    ("POST", "/dev/{project_id}/draft", True, drafts.update_session),
    ("GET", "/healthz", False, metrics.show_health),
    ("GET", "/inbox.json", True, inbox.list_emails),
    ("GET", "/inbox/{email_id}.json", True, inbox.show_email),
    *dashboard.ROUTES,
    # The upload URL itself is the permission.
    ("PUT", "/upload/{project_id}/{filename}", False, storage.receive_upload),
)
