"""The table of operations: the app routes by it, and discovery prints it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform import auth, inbox, page, projects, query, static, storage, tickets
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
            ]
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
    Operation("submit_ticket", "POST", API + "/tickets", "Submit a support ticket", tickets.submit_ticket),
    Operation(
        "credentials", "GET", ONE + "/credentials", "Show the database credentials", projects.show_credentials
    ),
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
    ("GET", "/", False, page.show),
    ("GET", "/healthz", False, page.health),
    ("GET", "/inbox.json", True, inbox.list_mails),
    ("GET", "/inbox/{mail_id}.json", True, inbox.show_mail),
    ("GET", "/inbox/{mail_id}", False, page.show_mail),
    # The upload URL itself is the permission.
    ("PUT", "/upload/{project_id}/{filename}", False, storage.receive_upload),
)
