"""`verify.magic_link`: sends a magic link, reads the email, opens the link and verifies its token.

Only the embedded platform has an inbox that can be read. Elsewhere the check only requests the page of the link, and
says that it sent no email.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from mosaic_deploy.deploy.checks.outcome import Outcome, failed, passed, skipped
from mosaic_deploy.errors import ApiError, MosaicError, RateLimited
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.operations import (
    read_embedded_emails,
    send_magic_link,
    verify_on_embedded_site,
)
from mosaic_deploy.live.api.responses import redirect_target
from mosaic_deploy.live.api.transport import is_loopback
from mosaic_deploy.model.snapshot import Project

if TYPE_CHECKING:
    import httpx

_MAX_REDIRECTS = 5


def check_magic_link(api: Api, project: Project, email: str, page: str) -> Outcome:
    """Sends one email, at most. On other platforms than the embedded one it only requests `page`."""
    try:
        emails = _read_emails(api)
        if emails is None:
            return _check_page(api, project.url + page)
        return _check_email(api, project, email, page, {each["id"] for each in emails})
    except RateLimited as error:
        return skipped(f"no email was sent: {error.message}")
    except MosaicError as error:
        return failed(error.message)


def _read_emails(api: Api) -> list[dict[str, Any]] | None:
    """The emails in the embedded platform's inbox, None for a platform without one."""
    if not is_loopback(api.url):
        return None
    try:
        return read_embedded_emails(api)
    except ApiError:
        return None


def _check_page(api: Api, url: str) -> Outcome:
    response = _open(api, url)
    if response.status_code != 200:
        return failed(f"the page of the link answers {response.status_code}: {url}")
    return skipped(
        f"{url} answers 200, but no email was sent: only the embedded platform's emails can be read; to try one "
        "yourself: mosaic-deploy auth send-link YOUR_EMAIL"
    )


def _check_email(api: Api, project: Project, email: str, page: str, before: set[object]) -> Outcome:
    send_magic_link(api, project.id, email, page)
    received = [
        each
        for each in _read_emails(api) or ()
        if each["id"] not in before and each["to"] == email and each["project_id"] == project.id
    ]
    if not received:
        return skipped(
            f"a magic link was sent to {email}, but the platform passes emails on to a mail server (MOSAIC_SMTP_URL), "
            "so it can't be read here"
        )
    link = str(received[0]["link"])
    response = _open(api, link)
    if response.status_code != 200:
        shown = urlsplit(link)._replace(query="").geturl()
        return failed(f"the link in the email leads to {shown}, which answers {response.status_code}")
    return _check_token(api, project, link)


def _check_token(api: Api, project: Project, link: str) -> Outcome:
    """Verifies the token as the site's page does, and that it works only once."""
    query = parse_qs(urlsplit(link).query)
    if not {"token", "email"} <= query.keys():
        return failed("the link in the email has no token and email")
    token, email = query["token"][0], query["email"][0]
    first, second = (verify_on_embedded_site(api, project.url, token, email) for _ in range(2))
    if first != 200:
        return failed(f"the token in the email was rejected with status {first}")
    if second == 200:
        return failed("the token in the email works twice")
    return passed("email received, page opened, token verified once")


def _open(api: Api, url: str) -> httpx.Response:
    """The page at `url`, as a browser gets it: redirects on the same site are followed."""
    response = api.fetch(url)
    for _ in range(_MAX_REDIRECTS):
        target = redirect_target(url, response.headers.get("location", ""))
        if not response.is_redirect or urlsplit(target).netloc != urlsplit(url).netloc:
            break
        url, response = target, api.fetch(target)
    return response
