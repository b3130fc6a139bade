"""Limits of the tiers, and how they are set by options and environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mosaic_deploy.platform.faults import ProcessFault

STORAGE_VARIABLE, EMAILS_VARIABLE = "MOSAIC_LOCAL_STORAGE", "MOSAIC_LOCAL_EMAILS"
IDLE_VARIABLE = "MOSAIC_LOCAL_IDLE"

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(B|KB|MB|GB|TB)?", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_MAX_BIGINT = 2**63 - 1


@dataclass(frozen=True)
class Limits:
    """Limits by tier. Per project: bytes of storage, of static files and of the database, and sign-in emails per day. Per
    account: projects. None is no limit, as on the embedded platform, whose only account is its user's."""

    free_storage: int = 20 * 10**9
    pro_storage: int = 10**12
    free_emails: int = 10
    # The hosted platform's limit is unknown.
    pro_emails: int = 1000
    free_static: int | None = None
    pro_static: int | None = None
    free_database: int | None = None
    pro_database: int | None = None
    free_projects: int | None = None
    pro_projects: int | None = None

    def storage(self, tier: str) -> int:
        return self.pro_storage if tier == "pro" else self.free_storage

    def emails(self, tier: str) -> int:
        return self.pro_emails if tier == "pro" else self.free_emails

    def static(self, tier: str) -> int | None:
        return self.pro_static if tier == "pro" else self.free_static

    def database(self, tier: str) -> int | None:
        return self.pro_database if tier == "pro" else self.free_database

    def projects(self, tier: str) -> int | None:
        return self.pro_projects if tier == "pro" else self.free_projects


SERVED_LIMITS: Mapping[str, int] = {
    "free_static": 2 * 10**9,
    "pro_static": 20 * 10**9,
    "free_database": 10 * 10**9,
    "pro_database": 100 * 10**9,
    "free_projects": 10,
    "pro_projects": 200,
}
"""Those of a served platform, where accounts are strangers to each other; `--limit` changes them."""


def parse_limit(text: str) -> tuple[str, int]:
    """Name and value of a `--limit NAME=VALUE`, such as `free-database=10GB`. Raises ValueError."""
    name, _, value = text.partition("=")
    field = name.strip().replace("-", "_")
    if field not in SERVED_LIMITS:
        known = ", ".join(name.replace("_", "-") for name in SERVED_LIMITS)
        raise ValueError(f"unknown limit {name.strip()!r}; the limits are {known}")
    return field, parse_count(value) if field.endswith("_projects") else parse_size(value)


def local_limits(environment: Mapping[str, str]) -> Limits:
    """The embedded platform's limits: the free tier's, unless `environment` sets others.

    Raises ProcessFault for an invalid value.
    """
    limits = Limits()
    storage, emails = environment.get(STORAGE_VARIABLE, ""), environment.get(EMAILS_VARIABLE, "")
    try:
        return Limits(
            free_storage=parse_size(storage) if storage else limits.free_storage,
            free_emails=parse_count(emails) if emails else limits.free_emails,
        )
    except ValueError as error:
        raise ProcessFault(
            "limit_invalid",
            f"invalid limit: {error}",
            f"for example: {STORAGE_VARIABLE}=500MB (or --storage 500MB), {EMAILS_VARIABLE}=100 (or --emails 100)",
        ) from error


def idle_seconds(environment: Mapping[str, str]) -> float:
    """After how many seconds without a request the embedded platform stops; 0 for never. Raises ProcessFault."""
    given = environment.get(IDLE_VARIABLE, "")
    try:
        return parse_count(given) if given else 0
    except ValueError as error:
        raise ProcessFault(
            "limit_invalid", f"invalid limit: {error}", f"for example: {IDLE_VARIABLE}=600"
        ) from error


def parse_size(text: str) -> int:
    """Bytes from `500MB`, `1.5 TB` or `4096`. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * _UNITS[(found[2] or "").upper()]) if found else 0
    if not 0 < size <= _MAX_BIGINT:
        raise ValueError(f"{text!r} isn't a size; use a number with B, kB, MB, GB or TB")
    return size


def parse_count(text: str) -> int:
    """Raises ValueError."""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 10**9:
        raise ValueError(f"{text!r} isn't a whole number above 0")
    return int(text)
