"""Uploads to and deletions from storage in the dashboard, with the rules of `storage put` and `storage rm`.

Files that a manifest deploys are refused, replacing and deleting must be confirmed, a policy's `max_deletes` holds, and
what looks like a secret is asked about: storage files are public.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlencode

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.files import tracking
from mosaic_deploy.platform.dashboard.files.storage import file_page_url, find_stored_file, owner_text
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.projects.names import checked_filename
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import file_records, storage

_FORM_BYTES = 16 * 1024
_SECRET_NAME = re.compile(
    r"\.env(?:rc|\..*)?|.*\.env|.*\.(?:p12|pfx|jks|keystore|kdbx|ppk)|id_(?:rsa|dsa|ecdsa|ed25519)"
)
_EXAMPLES = (".example", ".sample", ".template", ".dist")


async def start_upload(platform: Platform, request: Request) -> Response:
    """`upload_url`, a path to which the browser sends the file; or `confirm`, the questions to answer first.

    `confirmed` has the answers: the ETag of the file to replace, and `secret`.
    """
    document = await request_body.read_json(request)
    name = checked_filename(request_body.required_text(document, "filename"))
    size = request_body.whole_number(document, "size")
    confirmed = document.get("confirmed")
    answers = confirmed if isinstance(confirmed, list) else []
    project = await find_project(platform, request)
    await refuse_managed(platform, project, name)
    questions = await _questions(platform, project, name)
    if any(answer not in answers for answer, _ in questions):
        asked = [{"answer": answer, "question": question} for answer, question in questions]
        return JsonResponse({"confirm": asked})
    path = await storage.issue_upload(platform, project, name, size, base="")
    return JsonResponse({"upload_url": path, "page": file_page_url(project["id"], name)})


async def delete_file(platform: Platform, request: Request) -> Response:
    """Deletes the file whose page had the form; refused if it was replaced since then."""
    body = b"".join(await request_body.read_limited(request, _FORM_BYTES))
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=4)
    name, etag = (fields.get(field, [""])[0] for field in ("name", "etag"))
    project = await find_project(platform, request)
    row = await find_stored_file(platform, project, name)
    if row["etag"] != etag:
        raise Fault(409, "file_changed", f"{name} was replaced since this page was loaded; look at it again")
    await refuse_managed(platform, project, name)
    await _refuse_denied(platform, project)
    await file_records.remove(platform.pool, "stored_file", project["id"], name)
    folder = name.rpartition("/")[0]
    query = "?" + urlencode({"folder": folder + "/"}) if folder else ""
    return Response(status_code=303, headers={"Location": f"/projects/{project['id']}/storage{query}"})


async def refuse_managed(platform: Platform, project: DictRow, name: str) -> None:
    """Raises Fault (409) for a file that a manifest deploys, or of which that can't be found out."""
    if owner := await owner_text(platform, project, name):
        message = f"nothing was changed: {name} is {owner}. Change it in the manifest's folder and apply, or use --managed at a terminal"
        if owner.startswith("the tracking tables"):
            message = f"nothing was changed: {owner}"
        raise Fault(409, "storage_file_managed", message)


async def _questions(platform: Platform, project: DictRow, name: str) -> list[tuple[str, str]]:
    """(answer, question) for all that a person must confirm."""
    rows = await file_records.find_records(platform.pool, "stored_file", project["id"], [name])
    questions = []
    if name in rows:
        size = storage.human_size(rows[name]["size"])
        questions.append((rows[name]["etag"], f"{name} exists ({size}). Replace it?"))
    last = name.rpartition("/")[2].lower()
    if _SECRET_NAME.fullmatch(last) and not last.endswith(_EXAMPLES):
        questions.append(("secret", f"{name} looks like a secret, and storage files are public. Upload it?"))
    return questions


async def _refuse_denied(platform: Platform, project: DictRow) -> None:
    try:
        policy = await tracking.read_policy(platform, project)
    except tracking.TrackingUnreadable as error:
        message = "nothing was changed: the tracking tables can't be read now, so it is unknown what the policy forbids"
        raise Fault(409, "policy_denied", message) from error
    if policy.max_deletes == 0:
        raise Fault(409, "policy_denied", "the policy of the last deploy forbids it: policy.max_deletes is 0")
