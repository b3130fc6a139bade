"""The table of operations: the app routes by it, and discovery prints it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform import (
    access,
    auth,
    credentials,
    dashboard,
    dev,
    drafts,
    inbox,
    mailbox,
    metrics,
    page,
    projects,
    query,
    rotation,
    static,
    storage,
    tickets,
)
from mosaic_deploy.platform.access import guarded
from mosaic_deploy.platform.answer import Json
from mosaic_deploy.platform.parts import Platform

Endpoint = Callable[[Platform, Request], Awaitable[Response]]

API = "/v1/project"
ONE = API + "/{project_id}"


@dataclass(frozen=True)
class Operation:
    """One operation of the API: every request needs the key."""

    name: str
    method: str
    path: str
    description: str
    endpoint: Endpoint


async def discover(_platform: Platform, _request: Request) -> Response:
    return Json(
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
            "limits": {"static_file_bytes": static.SIZE_LIMIT},
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
    Operation("credentials", "GET", ONE + "/credentials", "Show the database credentials", credentials.show),
    Operation("run_sql", "POST", ONE + "/sql", "Run SQL in the project's database", query.run_sql),
    Operation("list_files", "GET", ONE + "/files", "List static files", static.list_files),
    Operation("upload_file", "POST", ONE + "/files", "Upload a static file", static.put_file),
    Operation("delete_file", "DELETE", ONE + "/files/{filename}", "Delete a static file", static.delete_file),
    Operation(
        "storage_upload",
        "POST",
        ONE + "/storage/upload",
        "Get an upload URL for storage",
        storage.create_upload,
    ),
    Operation("list_storage", "GET", ONE + "/storage", "List stored files and usage", storage.list_storage),
    Operation(
        "delete_object", "DELETE", ONE + "/storage/{filename}", "Delete a stored file", storage.delete_object
    ),
    Operation(
        "magic_link", "POST", ONE + "/auth/magic-link", "Send a magic link by mail", auth.send_magic_link
    ),
    Operation("verify_token", "POST", ONE + "/auth/verify", "Verify a magic link's token", auth.verify_token),
    Operation("read_auth_settings", "GET", ONE + "/auth/settings", "Read auth settings", auth.read_settings),
    Operation(
        "write_auth_settings", "PUT", ONE + "/auth/settings", "Write auth settings", auth.write_settings
    ),
)

# What only this machine's user sees, beside the API. (method, path, needs the key, endpoint)
LOCAL: tuple[tuple[str, str, bool, Endpoint], ...] = (
    ("GET", "/", False, guarded(dashboard.show)),
    ("GET", "/key", False, guarded(dashboard.show_key)),
    ("GET", "/requests", False, guarded(dashboard.show_requests)),
    ("GET", "/projects/{project_id}", False, guarded(dashboard.show_project)),
    ("GET", "/tickets/{ticket_id}", False, guarded(dashboard.show_ticket)),
    ("POST", "/tickets/{ticket_id}", False, guarded(dashboard.change_ticket)),
    # The link itself lets in; it is asked for with the key.
    ("POST", "/open", True, access.make_link),
    ("GET", "/open", False, access.enter),
    ("POST", "/leave", False, guarded(access.leave)),
    ("GET", "/metrics", False, metrics.show),
    ("POST", "/key/rotate", True, rotation.rotate_now),
    ("POST", "/dev/{project_id}", True, dev.report),
    ("POST", "/dev/{project_id}/draft", True, drafts.report),
    ("GET", "/healthz", False, page.health),
    ("GET", "/inbox.json", True, inbox.list_mails),
    ("GET", "/inbox/{mail_id}.json", True, inbox.show_mail),
    ("GET", "/inbox", False, guarded(mailbox.show_all)),
    ("GET", "/inbox/{mail_id}", False, guarded(mailbox.show_one)),
    ("GET", "/inbox/{mail_id}/html", False, guarded(mailbox.show_html)),
    # The upload URL itself is the permission.
    ("PUT", "/upload/{project_id}/{filename}", False, storage.receive_upload),
)
