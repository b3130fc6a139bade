"""`mosaic-deploy doctor`: what stands in the way of a deploy, each with its cure."""

from __future__ import annotations

import os
import platform
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import open_api
from mosaic_deploy.cli.target.embedded import missing_packages, platform_home, running_url
from mosaic_deploy.errors import ManifestMissing, MosaicError
from mosaic_deploy.installed import install_command
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import read_projects
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.version import __version__

_MAX_CLOCK_SKEW = 60.0
"""Seconds that this machine's clock may differ: upload URLs live for 300."""


class CheckStatus(StrEnum):
    """`odd` may be meant; `bad` stops a deploy."""

    OK = "good"
    WARN = "odd"
    FAIL = "bad"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one look found, and what to do where it isn't good."""

    subject: str
    verdict: CheckStatus
    told: str
    cure: str | None = None


def run_checks(folder: Path, *, local: bool) -> Iterator[CheckResult]:
    """Everything, in the order in which a deploy would meet it."""
    yield CheckResult(
        "mosaic-deploy",
        CheckStatus.OK,
        f"{__version__}, Python {platform.python_version()}, {platform.system()}",
    )
    yield _check_manifest(folder)
    yield from _check_dotenv(folder)
    yield from _check_account(folder, local=local)
    yield _check_embedded(needed=local)
    yield _check_writable("data folder", platform_home(), needed=local)


def _check_manifest(folder: Path) -> CheckResult:
    try:
        found = read_manifest(folder)
    except ManifestMissing as error:
        return CheckResult("manifest", CheckStatus.FAIL, error.message, str(error.next_actions[0].command))
    except MosaicError as error:
        return CheckResult(
            "manifest", CheckStatus.FAIL, error.message, "mosaic-deploy validate shows each mistake"
        )
    return CheckResult("manifest", CheckStatus.OK, str(found.file))


def _check_dotenv(folder: Path) -> Iterator[CheckResult]:
    file = (folder if folder.is_dir() else folder.parent) / ".env"
    try:
        mode = file.stat().st_mode
    except OSError:
        return
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        yield CheckResult(
            ".env", CheckStatus.WARN, "other users of this machine can read it", f"chmod 600 {file}"
        )
    else:
        yield CheckResult(".env", CheckStatus.OK, "only you can read it")


def _check_account(folder: Path, *, local: bool) -> Iterator[CheckResult]:
    """Key, API and clock. The embedded platform isn't started for it."""
    if local and running_url() is None:
        yield CheckResult(
            "platform",
            CheckStatus.WARN,
            "it isn't running",
            "mosaic-deploy local start, or any command with --local",
        )
        return
    try:
        api = open_api(folder if folder.is_dir() else folder.parent, local=local)
    except MosaicError as error:
        yield CheckResult("key", CheckStatus.FAIL, error.message, _with_local_hint(error, local=local))
        return
    with api:
        yield _check_api(api, local=local)
        yield from _check_clock(api)


def _with_local_hint(error: MosaicError, *, local: bool) -> str:
    """The cure of an account that can't be had; without one, the other platform may be the one that is meant."""
    if local:
        return error.hint or "mosaic-deploy local status"
    examined = "for the embedded platform: mosaic-deploy doctor --local"
    return f"{error.hint}; {examined}" if error.hint else examined


def _check_api(api: Api, *, local: bool) -> CheckResult:
    began = time.monotonic()
    try:
        count = len(read_projects(api))
    except MosaicError as error:
        return CheckResult(
            "API", CheckStatus.FAIL, f"{api.url}: {error.message}", _with_local_hint(error, local=local)
        )
    taken = (time.monotonic() - began) * 1000
    return CheckResult(
        "API", CheckStatus.OK, f"{api.url} took the key; {count_text(count, 'project')}, {taken:.0f} ms"
    )


def _check_clock(api: Api) -> Iterator[CheckResult]:
    try:
        told = api.fetch(api.url).headers.get("date")
        theirs = parsedate_to_datetime(told).timestamp() if told else None
    except (MosaicError, ValueError, TypeError):
        return
    if theirs is None:
        return
    apart = time.time() - theirs
    if abs(apart) > _MAX_CLOCK_SKEW:
        word = "ahead of" if apart > 0 else "behind"
        yield CheckResult(
            "clock",
            CheckStatus.FAIL,
            f"{abs(apart):.0f} s {word} the API's",
            "set this machine's clock by NTP",
        )
    else:
        yield CheckResult("clock", CheckStatus.OK, f"within {_MAX_CLOCK_SKEW:.0f} s of the API's")


def _check_embedded(*, needed: bool) -> CheckResult:
    if missing := missing_packages():
        verdict = CheckStatus.FAIL if needed else CheckStatus.WARN
        told = f"not installed: {', '.join(missing)}"
        return CheckResult("embedded platform", verdict, told, install_command("local"))
    url = running_url()
    return CheckResult(
        "embedded platform", CheckStatus.OK, f"runs at {url}" if url else "installed, not running"
    )


def _check_writable(subject: str, folder: Path, *, needed: bool) -> CheckResult:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if os.access(there, os.W_OK | os.X_OK):
        return CheckResult(subject, CheckStatus.OK, str(folder))
    verdict = CheckStatus.FAIL if needed else CheckStatus.WARN
    return CheckResult(subject, verdict, f"{there} can't be written", "set MOSAIC_HOME to a folder that can")


_MARKS = {
    CheckStatus.OK: ("ok", "green"),
    CheckStatus.WARN: ("odd", "yellow"),
    CheckStatus.FAIL: ("bad", "red"),
}


@click.command(cls=folder_option.FolderCommand)
@click.option(
    "--in",
    "path",
    type=click.Path(),
    default=".",
    show_default=True,
    metavar="PATH",
    help="The project's folder.",
)
@click.option("--local", is_flag=True, help="Examine the embedded platform instead of the account.")
@options.output
@click.pass_obj
def doctor(screen: Screen, path: str, local: bool) -> int:
    """Examine key, API, clock, versions, folders and the embedded platform, and tell the cure of what is wrong.

    Changes nothing. The exit code is 1 where something would stop a deploy.
    """
    found = list(run_checks(Path(path), local=local))
    screen.result({"type": "doctor", "findings": [asdict(each) for each in found]}, _lines(found))
    return 1 if any(each.verdict is CheckStatus.FAIL for each in found) else 0


def _lines(found: Sequence[CheckResult]) -> Iterator[str]:
    width = max(len(each.subject) for each in found)
    for each in found:
        mark, color = _MARKS[each.verdict]
        yield f"{click.style(f'{mark:<4}', fg=color)}{each.subject:<{width}}  {each.told}"
        if each.cure:
            yield f"    {'':<{width}}  → {each.cure}"
