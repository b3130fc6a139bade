"""`mosaic-deploy local logs`: the last lines of the embedded platform's log, and new ones as they are written."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.local.log_filter import (
    LEVELS,
    LogFilter,
    StatusRanges,
    parse_since,
    parse_statuses,
)
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.platform_process import platform_home

_POLL_SECONDS = 0.2
_ROTATED = 3
"""Older logs that the platform keeps."""


class _Statuses(click.ParamType[StatusRanges]):
    name = "STATUS"

    def convert(
        self, value: str | StatusRanges, param: click.Parameter | None, ctx: click.Context | None
    ) -> StatusRanges:
        try:
            return parse_statuses(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Since(click.ParamType[float]):
    name = "TIME"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_since(value, time.time()) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option(
    "--lines",
    "-n",
    type=options.NumberRange(click.IntRange(min=0)),
    default=50,
    metavar="N",
    help="Start with the last N lines (default: 50).",
)
@click.option("--project", metavar="ID", help="Only requests to this project: its API and its site.")
@click.option(
    "--status",
    type=_Statuses(),
    metavar="STATUS",
    help="Only requests with this status: 404, 4xx, 400-599 or several.",
)
@click.option("--method", metavar="METHOD", help="Only requests with this method.")
@click.option("--path", metavar="GLOB", help="Only requests whose path matches; * is any text.")
@click.option(
    "--since", type=_Since(), metavar="TIME", help="Only what is newer: 90s, 10m, 2h, 1d or an ISO time."
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    help="Only this level and worse. A request with status 5xx is an error.",
)
@click.option("--grep", metavar="TEXT", help="Only lines that contain this text, such as a request's ID.")
@click.option("--all", "everything", is_flag=True, help="Also the heartbeats of `dev`.")
@click.option("--raw", is_flag=True, help="Print the raw lines: one JSON object each.")
@click.pass_obj
def logs(
    screen: Screen,
    follow: bool,
    lines: int,
    project: str | None,
    status: StatusRanges | None,
    method: str | None,
    path: str | None,
    since: float | None,
    level: str | None,
    grep: str | None,
    everything: bool,
    raw: bool,
) -> None:
    """Show the platform's log: requests, starts and errors.

    \b
    Examples:
      mosaic-deploy local logs
      mosaic-deploy local logs --follow --project pod-16f
      mosaic-deploy local logs --status 4xx,5xx --since 10m
    """
    chosen = LogFilter(project, status, method, path, since, level, grep, everything)
    log = platform_home() / "platform.log"
    for line in read_last_lines(log, lines, chosen.accepts):
        screen.log_line(line, raw=raw)
    if follow:
        for line in filter(chosen.accepts, follow_lines(log)):
            screen.log_line(line, raw=raw)


def read_last_lines(log: Path, count: int, accepts: Callable[[str], bool]) -> list[str]:
    """At most `count` accepted lines, the newest last, also from the rotated logs."""
    kept: deque[str] = deque(maxlen=count)
    rotated = [log.with_name(f"{log.name}.{number}") for number in range(_ROTATED, 0, -1)]
    for path in (*rotated, log):
        try:
            with path.open(encoding="utf-8", errors="replace") as stream:
                kept.extend(filter(accepts, (line.rstrip("\n") for line in stream)))
        except FileNotFoundError:
            continue
    return list(kept)


def follow_lines(log: Path) -> Iterator[str]:
    """Lines written from now on, without end; continues in the new file after a rotation."""
    stream = _open_log(log)
    try:
        if stream:
            stream.seek(0, os.SEEK_END)
        partial = ""
        while True:
            # Checked before reading, so that the rest of the old file is read first.
            rotated = _was_rotated(log, stream)
            partial += stream.read() if stream else ""
            *lines, partial = partial.split("\n")
            yield from lines
            if rotated:
                if stream:
                    stream.close()
                stream = _open_log(log)
            else:
                time.sleep(_POLL_SECONDS)
    finally:
        if stream:
            stream.close()


def _open_log(log: Path) -> IO[str] | None:
    try:
        return log.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _was_rotated(log: Path, stream: IO[str] | None) -> bool:
    """Whether `log` is a different file than the open one."""
    try:
        current = log.stat()
    except FileNotFoundError:
        return False
    return stream is None or not os.path.samestat(current, os.fstat(stream.fileno()))
