"""Lists S3's unfinished multipart uploads, which obstore has no call for."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx


def unfinished_uploads(environment: Mapping[str, str], bucket: str = "mosaic") -> list[str]:
    """The keys of unfinished multipart uploads."""
    endpoint, region = environment["AWS_ENDPOINT_URL"], environment["AWS_REGION"]
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": endpoint.partition("//")[2], "x-amz-content-sha256": empty, "x-amz-date": when}
    names = ";".join(headers)
    listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"GET\n/{bucket}\nuploads=\n{listed}\n{names}\n{empty}"
    scope = f"{when[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = ("AWS4" + environment["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    credential = f"{environment['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    )
    response = httpx.get(f"{endpoint}/{bucket}?uploads=", headers=headers)
    assert response.status_code == 200, response.text
    return re.findall(r"<Key>(.*?)</Key>", response.text)
