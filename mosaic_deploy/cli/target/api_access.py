"""The API's URL and key.

Precedence: environment, `.env`, saved by `login`, default. A key of the environment never goes to an address of `.env`:
that file may come with the repository, and the key doesn't.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.target.stored_keys import read_stored_key
from mosaic_deploy.errors import ApiUrlInvalid, ApiUrlUntrusted, KeyMissing, NextAction
from mosaic_deploy.model.command_line import with_options
from mosaic_deploy.source.manifest.dotenv import read_dotenv

if TYPE_CHECKING:
    from mosaic_deploy.live.api.client import Api

API_URL = "https://api.mosaic.site"


def command_line() -> str:
    """This run's command line, quoted for a shell."""
    return shlex.join(["mosaic-deploy", *sys.argv[1:]])


def open_api(folder: Path, *, local: bool, timeout: float = 30.0) -> Api:
    """The API, for commands without a manifest; reads `.env` in `folder`. Raises KeyMissing, PlatformFailed."""
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api

    if local:
        from mosaic_deploy.cli.target.embedded import ensure_started

        platform = ensure_started()
        url, key = platform.url, platform.api_key
    else:
        url, key = resolve_api_credentials(folder)
    return Api(url, ApiKey(key), timeout=timeout, sql_timeout=max(600.0, timeout))


@dataclass(frozen=True, slots=True)
class ApiUrl:
    """The API's URL; `is_from_file` if `.env` chose it, instead of the environment or the default."""

    url: str
    is_from_file: bool


def read_api_url(folder: Path) -> ApiUrl:
    """The API's URL from the environment or `folder`'s `.env`. Raises ApiUrlInvalid."""
    return _resolve_api_url(read_dotenv(folder))


def _resolve_api_url(dotenv: Mapping[str, str]) -> ApiUrl:
    chosen = os.environ.get("MOSAIC_API_URL")
    url = chosen or dotenv.get("MOSAIC_API_URL") or API_URL
    _refuse_unsafe_url(url)
    return ApiUrl(url, is_from_file=not chosen and url.rstrip("/") != API_URL)


def resolve_api_credentials(folder: Path) -> tuple[str, str]:
    """URL and key. Raises KeyMissing, ApiUrlInvalid, ApiUrlUntrusted, KeyStoreFailed."""
    dotenv = read_dotenv(folder)
    address = _resolve_api_url(dotenv)
    key = os.environ.get("MOSAIC_API_KEY", "").strip()
    if key and address.is_from_file:
        raise untrusted_url_error(address.url, "MOSAIC_API_KEY of the environment")
    key = key or _dotenv_key(dotenv, address) or read_stored_key(address.url)
    if not key:
        raise _key_missing()
    return address.url, key


def _dotenv_key(dotenv: Mapping[str, str], address: ApiUrl) -> str:
    """The key in `.env`, unless `.env` has it for another address. Raises ApiUrlUntrusted if that is all there is."""
    key, its_url = dotenv.get("MOSAIC_API_KEY", "").strip(), dotenv.get("MOSAIC_API_URL", "")
    if not key or not its_url or its_url.rstrip("/") == address.url.rstrip("/"):
        return key
    if read_stored_key(address.url):
        return ""
    raise ApiUrlUntrusted(
        f"MOSAIC_API_KEY of .env belongs to the address in .env; it isn't sent to {address.url}, which the environment "
        "chooses",
        hint="set MOSAIC_API_KEY in the environment as well, or unset MOSAIC_API_URL there",
    )


def untrusted_url_error(url: str, key: str) -> ApiUrlUntrusted:
    return ApiUrlUntrusted(
        f".env sets MOSAIC_API_URL to {url!r}; {key} isn't sent to an address that a file chooses",
        hint=f"if that is your platform, set MOSAIC_API_URL={shlex.quote(url)} in the environment as well; otherwise "
        "remove the line from .env",
    )


def _key_missing() -> KeyMissing:
    message = "no API key: MOSAIC_API_KEY isn't set in the environment or .env, and none is saved"
    if os.environ.get("GITHUB_ACTIONS") == "true":
        # A saved key would be lost: each job gets a new machine.
        return KeyMissing(
            message,
            hint="copy the key from your dashboard to the repository secret MOSAIC_API_KEY (Settings → Secrets and "
            "variables → Actions), pass it to this step, and run the job again",
        )
    return KeyMissing(
        message,
        hint="run `mosaic-deploy login`, set MOSAIC_API_KEY, or add --local",
        next_actions=[
            NextAction("log in, then run this again", "mosaic-deploy login"),
            NextAction("use the embedded platform on this machine", with_options(command_line(), "--local")),
        ],
    )


def _refuse_unsafe_url(url: str) -> None:
    """Raises ApiUrlInvalid for a URL that would expose the key, or contains another secret."""
    from urllib.parse import urlsplit

    import httpx

    hint = f"the hosted platform is at {API_URL}"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # They raise ValueError for an invalid port or international name.
        _ = parts.port, httpx.URL(url).host
    except (ValueError, httpx.InvalidURL) as error:
        raise ApiUrlInvalid(f"MOSAIC_API_URL isn't a URL: {error}", hint=hint) from None
    if not host or not host.isprintable() or " " in host:
        raise ApiUrlInvalid("MOSAIC_API_URL isn't a URL: it has no valid host", hint=hint)
    if "@" in parts.netloc:
        # Not shown: the part before the @ may be a password.
        raise ApiUrlInvalid(
            f"MOSAIC_API_URL has a user name or password before {host!r}; the API only accepts an API key",
            hint=f"remove everything up to the @ and set MOSAIC_API_KEY; {hint}",
        )
    loopback = host in {"127.0.0.1", "::1", "localhost"} or host.endswith(".localhost")
    if parts.scheme == "https" or (parts.scheme == "http" and loopback):
        return
    raise ApiUrlInvalid(
        f"MOSAIC_API_URL is {url!r}; the API key is only sent over https (or http to this machine)",
        hint=hint,
    )
