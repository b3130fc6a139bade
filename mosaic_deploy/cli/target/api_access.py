"""The API that is meant: its address, and the key to it.

Precedence: flag, environment, `.env`, what `login` kept, default.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.target.settings import read_settings
from mosaic_deploy.cli.target.stored_keys import read_stored_key
from mosaic_deploy.errors import KeyMissing, NextAction, RequestRefused
from mosaic_deploy.model.command_line import with_options

if TYPE_CHECKING:
    from mosaic_deploy.live.api.client import Api

API_URL = "https://api.mosaic.site"


def command_line() -> str:
    """The command as it was given, to be pasted again."""
    return shlex.join(["mosaic-deploy", *sys.argv[1:]])


def open_api(folder: Path, *, local: bool, timeout: float = 30.0) -> Api:
    """The API, for what needs no manifest; `.env` in `folder` counts. Raises KeyMissing, PlatformFailed."""
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api

    if local:
        from mosaic_deploy.cli.target.embedded import ensure_started

        platform = ensure_started()
        url, key = platform.url, platform.api_key
    else:
        url, key = resolve_api_credentials(read_settings(folder))
    return Api(url, ApiKey(key), timeout=timeout, sql_timeout=max(600.0, timeout))


def read_api_url(folder: Path) -> str:
    """The API's address by the environment and `folder`'s `.env`. Raises RequestRefused for an unsafe one."""
    return _resolve_api_url(read_settings(folder))


def _resolve_api_url(settings: Mapping[str, str]) -> str:
    url = settings.get("MOSAIC_API_URL") or API_URL
    _refuse_unsafe_url(url)
    return url


def resolve_api_credentials(settings: Mapping[str, str]) -> tuple[str, str]:
    """Address and key. Raises KeyMissing, RequestRefused, SourceUnreadable."""
    url = _resolve_api_url(settings)
    key = settings.get("MOSAIC_API_KEY", "").strip() or read_stored_key(url)
    if not key:
        raise _key_missing()
    return url, key


def _key_missing() -> KeyMissing:
    told = "no API key: MOSAIC_API_KEY is not set, neither in the environment nor in .env"
    if os.environ.get("GITHUB_ACTIONS") == "true":
        # No key can be kept there: the machine is gone after the job.
        return KeyMissing(
            told,
            hint="copy the key from your dashboard into the repository secret MOSAIC_API_KEY (Settings → Secrets and "
            "variables → Actions), hand it to this step, and run the job again",
        )
    return KeyMissing(
        told,
        hint="copy the key from your dashboard, `mosaic-deploy login` keeps it; or use the embedded platform, which needs none",
        next_actions=[
            NextAction("keep your account's key, then run this again", "mosaic-deploy login"),
            NextAction("try it on this machine", with_options(command_line(), "--local")),
        ],
    )


def _refuse_unsafe_url(url: str) -> None:
    """Raises RequestRefused for an address that would give the key away, or has another secret in it."""
    from urllib.parse import urlsplit

    hint = f"the hosted platform is {API_URL}"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # Only reading it tells that a port is one.
        _ = parts.port
    except ValueError as error:
        raise RequestRefused(f"MOSAIC_API_URL is no address: {error}", hint=hint) from None
    if "@" in parts.netloc:
        # Not shown: what stands before the @ is somebody's password.
        raise RequestRefused(
            f"MOSAIC_API_URL has a name or password before {host!r}: the API knows nothing but its key",
            hint=f"leave out everything up to the @, and set MOSAIC_API_KEY; {hint}",
        )
    loopback = host in {"127.0.0.1", "::1", "localhost"} or host.endswith(".localhost")
    if parts.scheme == "https" or (parts.scheme == "http" and loopback):
        return
    raise RequestRefused(
        f"MOSAIC_API_URL is {url!r}: the key is sent over https only (plain http to this machine alone)",
        hint=hint,
    )
