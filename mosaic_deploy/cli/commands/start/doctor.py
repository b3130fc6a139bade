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
from mosaic_deploy.cli.target.api_access import open_account
from mosaic_deploy.cli.target.embedded import home, missing_packages, running_url
from mosaic_deploy.errors import ManifestMissing, MosaicError
from mosaic_deploy.installed import install_command
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import read_projects
from mosaic_deploy.model.quantities import counted
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.version import __version__

_CLOCK = 60.0
"""Seconds that this machine's clock may differ: upload URLs live for 300."""


class Verdict(StrEnum):
    """`odd` may be meant; `bad` stops a deploy."""

    GOOD = "good"
    ODD = "odd"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found, and what to do where it isn't good."""

    subject: str
    verdict: Verdict
    told: str
    cure: str | None = None


def examine(folder: Path, *, local: bool) -> Iterator[Finding]:
    """Everything, in the order in which a deploy would meet it."""
    yield Finding(
        "mosaic-deploy",
        Verdict.GOOD,
        f"{__version__}, Python {platform.python_version()}, {platform.system()}",
    )
    yield _manifest(folder)
    yield from _secrets_file(folder)
    yield from _account(folder, local=local)
    yield _embedded(needed=local)
    yield _writable("data folder", home(), needed=local)


def _manifest(folder: Path) -> Finding:
    try:
        found = read_manifest(folder)
    except ManifestMissing as error:
        return Finding("manifest", Verdict.BAD, error.message, str(error.next_actions[0].command))
    except MosaicError as error:
        return Finding("manifest", Verdict.BAD, error.message, "mosaic-deploy validate shows each mistake")
    return Finding("manifest", Verdict.GOOD, str(found.file))


def _secrets_file(folder: Path) -> Iterator[Finding]:
    file = (folder if folder.is_dir() else folder.parent) / ".env"
    try:
        mode = file.stat().st_mode
    except OSError:
        return
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Finding(".env", Verdict.ODD, "other users of this machine can read it", f"chmod 600 {file}")
    else:
        yield Finding(".env", Verdict.GOOD, "only you can read it")


def _account(folder: Path, *, local: bool) -> Iterator[Finding]:
    """Key, API and clock. The embedded platform isn't started for it."""
    if local and running_url() is None:
        yield Finding(
            "platform",
            Verdict.ODD,
            "it isn't running",
            "mosaic-deploy local start, or any command with --local",
        )
        return
    try:
        api = open_account(folder if folder.is_dir() else folder.parent, local=local)
    except MosaicError as error:
        yield Finding("key", Verdict.BAD, error.message, _or_local(error, local=local))
        return
    with api:
        yield _reached(api, local=local)
        yield from _clock(api)


def _or_local(error: MosaicError, *, local: bool) -> str:
    """The cure of an account that can't be had; without one, the other platform may be the one that is meant."""
    if local:
        return error.hint or "mosaic-deploy local status"
    examined = "for the embedded platform: mosaic-deploy doctor --local"
    return f"{error.hint}; {examined}" if error.hint else examined


def _reached(api: Api, *, local: bool) -> Finding:
    began = time.monotonic()
    try:
        count = len(read_projects(api))
    except MosaicError as error:
        return Finding("API", Verdict.BAD, f"{api.url}: {error.message}", _or_local(error, local=local))
    taken = (time.monotonic() - began) * 1000
    return Finding(
        "API", Verdict.GOOD, f"{api.url} took the key; {counted(count, 'project')}, {taken:.0f} ms"
    )


def _clock(api: Api) -> Iterator[Finding]:
    try:
        told = api.fetch(api.url).headers.get("date")
        theirs = parsedate_to_datetime(told).timestamp() if told else None
    except (MosaicError, ValueError, TypeError):
        return
    if theirs is None:
        return
    apart = time.time() - theirs
    if abs(apart) > _CLOCK:
        word = "ahead of" if apart > 0 else "behind"
        yield Finding(
            "clock", Verdict.BAD, f"{abs(apart):.0f} s {word} the API's", "set this machine's clock by NTP"
        )
    else:
        yield Finding("clock", Verdict.GOOD, f"within {_CLOCK:.0f} s of the API's")


def _embedded(*, needed: bool) -> Finding:
    if missing := missing_packages():
        verdict = Verdict.BAD if needed else Verdict.ODD
        told = f"not installed: {', '.join(missing)}"
        return Finding("embedded platform", verdict, told, install_command("local"))
    url = running_url()
    return Finding("embedded platform", Verdict.GOOD, f"runs at {url}" if url else "installed, not running")


def _writable(subject: str, folder: Path, *, needed: bool) -> Finding:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if os.access(there, os.W_OK | os.X_OK):
        return Finding(subject, Verdict.GOOD, str(folder))
    verdict = Verdict.BAD if needed else Verdict.ODD
    return Finding(subject, verdict, f"{there} can't be written", "set MOSAIC_HOME to a folder that can")


_MARKS = {Verdict.GOOD: ("ok", "green"), Verdict.ODD: ("odd", "yellow"), Verdict.BAD: ("bad", "red")}


@click.command(cls=folder_option.InFolder)
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
    found = list(examine(Path(path), local=local))
    screen.answer({"type": "doctor", "findings": [asdict(each) for each in found]}, _lines(found))
    return 1 if any(each.verdict is Verdict.BAD for each in found) else 0


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    width = max(len(each.subject) for each in found)
    for each in found:
        mark, color = _MARKS[each.verdict]
        yield f"{click.style(f'{mark:<4}', fg=color)}{each.subject:<{width}}  {each.told}"
        if each.cure:
            yield f"    {'':<{width}}  → {each.cure}"
