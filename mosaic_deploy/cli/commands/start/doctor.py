"""`mosaic-deploy doctor`."""

from __future__ import annotations

import os
import platform
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.layout import output_width, wrap
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.render.text.schema import drift_summary
from mosaic_deploy.cli.target.api_access import open_api
from mosaic_deploy.cli.target.embedded import running_url
from mosaic_deploy.cli.target.platform_process import missing_packages, platform_home
from mosaic_deploy.cli.target.session import open_session
from mosaic_deploy.cli.visible_text import style
from mosaic_deploy.deploy.history.drift import read_drift
from mosaic_deploy.errors import ManifestMissing, MosaicError
from mosaic_deploy.installed import install_command
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import read_projects
from mosaic_deploy.live.find_project import find_project
from mosaic_deploy.model.catalog import SchemaState
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.version import __version__

_TIMEOUT = 30.0
_MAX_CLOCK_SKEW = 60.0
"""Seconds of clock difference that are fine; upload URLs are valid for 300."""


class CheckStatus(StrEnum):
    """`fail` stops a deploy; `warn` may be intended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found (`message`), and the fix if it isn't ok (`fix`). The field names are keys of the JSON output."""

    subject: str
    status: CheckStatus
    message: str
    fix: str | None = None


def run_checks(folder: Path, *, local: bool) -> Iterator[CheckResult]:
    """All checks, in the order in which a deploy depends on them."""
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
        return CheckResult("manifest", CheckStatus.FAIL, error.message, "mosaic-deploy validate")
    return CheckResult("manifest", CheckStatus.OK, str(found.file))


def _check_dotenv(folder: Path) -> Iterator[CheckResult]:
    file = (folder if folder.is_dir() else folder.parent) / ".env"
    try:
        mode = file.stat().st_mode
    except OSError:
        return
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        yield CheckResult(
            ".env", CheckStatus.WARN, "other users on this machine can read it", f"chmod 600 {file}"
        )
    else:
        yield CheckResult(".env", CheckStatus.OK, "only you can read it")


def _check_account(folder: Path, *, local: bool) -> Iterator[CheckResult]:
    """Key, API and clock. Doesn't start the embedded platform."""
    if local and running_url() is None:
        yield CheckResult(
            "platform",
            CheckStatus.WARN,
            "not running",
            "mosaic-deploy local start",
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
    yield from _check_schema(folder, local=local)


def _check_schema(folder: Path, *, local: bool) -> Iterator[CheckResult]:
    """Whether the database's schema is as the last deploy left it. Nothing if that can't be read: other checks say why."""
    try:
        session = open_session(
            str(folder),
            environment=None,
            local=local,
            project_id=None,
            timeout=_TIMEOUT,
            attempted_command="",
        )
        with session:
            database, target = session.manifest.database, session.target
            found = find_project(session.api, id=target.id, name=target.name, hint=target.hint).project
            if found is None or database is None or database.migrations is None:
                return
            drift = read_drift(session.api, found.id, session.manifest)
    except MosaicError:
        return
    drifted = drift.state is SchemaState.DRIFTED
    unchecked = drift.state not in (SchemaState.UNCHANGED, SchemaState.NOT_RECORDED)
    yield CheckResult(
        "schema",
        CheckStatus.WARN if unchecked else CheckStatus.OK,
        drift_summary(drift),
        session.scope.command("migrate", "drift") if drifted else None,
    )


def _with_local_hint(error: MosaicError, *, local: bool) -> str:
    """The fix for an account that can't be used, and the check of the embedded platform as an alternative."""
    if local:
        return error.hint or "mosaic-deploy local status"
    alternative = "to check the embedded platform: mosaic-deploy doctor --local"
    return f"{error.hint}; {alternative}" if error.hint else alternative


def _check_api(api: Api, *, local: bool) -> CheckResult:
    started = time.monotonic()
    try:
        count = len(read_projects(api))
    except MosaicError as error:
        return CheckResult(
            "API", CheckStatus.FAIL, f"{api.url}: {error.message}", _with_local_hint(error, local=local)
        )
    milliseconds = (time.monotonic() - started) * 1000
    return CheckResult(
        "API",
        CheckStatus.OK,
        f"{api.url}: API key accepted; {count_text(count, 'project')}, {milliseconds:.0f} ms",
    )


def _check_clock(api: Api) -> Iterator[CheckResult]:
    try:
        date = api.fetch(api.url).headers.get("date")
        server_time = parsedate_to_datetime(date).timestamp() if date else None
    except (MosaicError, ValueError, TypeError):
        return
    if server_time is None:
        return
    difference = time.time() - server_time
    if abs(difference) > _MAX_CLOCK_SKEW:
        word = "ahead of" if difference > 0 else "behind"
        yield CheckResult(
            "clock",
            CheckStatus.FAIL,
            f"{abs(difference):.0f} s {word} the API's clock",
            "synchronize this machine's clock (NTP)",
        )
    else:
        yield CheckResult("clock", CheckStatus.OK, f"within {_MAX_CLOCK_SKEW:.0f} s of the API's clock")


def _check_embedded(*, needed: bool) -> CheckResult:
    if missing := missing_packages():
        status = CheckStatus.FAIL if needed else CheckStatus.WARN
        message = f"missing packages: {', '.join(missing)}"
        return CheckResult("embedded platform", status, message, install_command("local"))
    url = running_url()
    return CheckResult(
        "embedded platform", CheckStatus.OK, f"running at {url}" if url else "installed, not running"
    )


def _check_writable(subject: str, folder: Path, *, needed: bool) -> CheckResult:
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return CheckResult(subject, CheckStatus.OK, str(folder))
    status = CheckStatus.FAIL if needed else CheckStatus.WARN
    return CheckResult(subject, status, f"can't write to {existing}", "set MOSAIC_HOME to a writable folder")


_MARKS = {
    CheckStatus.OK: ("ok", "green"),
    CheckStatus.WARN: ("warn", "yellow"),
    CheckStatus.FAIL: ("fail", "red"),
}


@click.command()
@options.path
@click.option("--local", is_flag=True, help="Check the embedded platform instead of the account.")
@options.output
@click.pass_obj
def doctor(screen: Screen, path: str, local: bool) -> int:
    """Check your setup and suggest fixes. Exits with 1 if something would stop a deploy.

    Checks versions, manifest, .env, API key, API, clock, schema drift, folders and the embedded platform.

    \b
    Examples:
      mosaic-deploy doctor
      mosaic-deploy doctor --local
    """
    found = list(run_checks(Path(path), local=local))
    screen.result({"type": "doctor", "findings": [asdict(each) for each in found]}, _lines(found))
    return 1 if any(each.status is CheckStatus.FAIL for each in found) else 0


def _lines(found: Sequence[CheckResult]) -> Iterator[str]:
    width = max(len(each.subject) for each in found)
    terminal_width = output_width(sys.stdout)
    indent = 6 + width + 2
    for each in found:
        mark, color = _MARKS[each.status]
        line = f"{style(f'{mark:<6}', fg=color)}{each.subject:<{width}}  {each.message}"
        yield from wrap(line, terminal_width, indent)
        if each.fix:
            yield from wrap(f"{'':<{indent}}→ {each.fix}", terminal_width, indent + 2)
