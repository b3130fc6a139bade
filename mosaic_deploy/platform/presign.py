"""Upload URLs that carry their own permission: bound to project, name, size and expiry by an HMAC."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.names import url_path

LIFETIME_SECONDS = 300


@dataclass(frozen=True)
class Permit:
    """What one upload URL allows. `expires` is in seconds of the epoch."""

    project_id: str
    filename: str
    size: int
    expires: int

    def signature(self, key: str) -> str:
        # JSON keeps the fields apart, whatever characters a name has.
        text = json.dumps([self.project_id, self.filename, self.size, self.expires])
        return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def issue(project_id: str, filename: str, size: int) -> Permit:
    return Permit(project_id, filename, size, int(time.time()) + LIFETIME_SECONDS)


def upload_url(base: str, permit: Permit, key: str) -> str:
    query = urlencode({"size": permit.size, "expires": permit.expires, "signature": permit.signature(key)})
    return f"{base}/upload/{permit.project_id}/{url_path(permit.filename)}?{query}"


def read_permit(project_id: str, filename: str, query: Mapping[str, str], key: str) -> Permit:
    """The permit of a request; a Fault with 403 where it was altered or is too old."""
    try:
        permit = Permit(project_id, filename, int(query["size"]), int(query["expires"]))
        signature = query["signature"].encode()
    except (KeyError, ValueError) as error:
        raise Fault(403, "signature_invalid", "this is not an upload URL the platform has made") from error
    if not hmac.compare_digest(permit.signature(key).encode(), signature):
        raise Fault(403, "signature_invalid", "the upload URL was altered")
    if permit.expires < time.time():
        raise Fault(403, "upload_expired", "the upload URL has expired; ask for another one")
    return permit
