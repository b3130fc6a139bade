"""stdin, stdout and stderr as the caller left them: closed, full, or with a reader that went away."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class StdoutUnwritable(OSError):
    """stdout takes no more: the disk is full, or the device is gone."""


class _Stdout(io.FileIO):
    """stdout, whose failures can be told from those of everything else."""

    def write(self, data: Buffer, /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except (BrokenPipeError, BlockingIOError):
            raise
        except OSError as error:
            raise StdoutUnwritable(*error.args) from None


def prepare() -> None:
    """A closed stream leads nowhere, and no character of a text stops the program.

    A number that stays free would be taken by the next file that is opened, and then be written to.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or _null_stream(0, "r")
    sys.stdout = sys.stdout or _null_stream(1, "w")
    sys.stderr = sys.stderr or _null_stream(2, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _wrap_stdout(sys.stdout)


def flush_stdout() -> OSError | None:
    """Why what was written to stdout doesn't arrive, None where it did."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def redirect_to_null(number: int) -> None:
    """Leads a stream nowhere, so that the interpreter's own last flush doesn't fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _wrap_stdout(stdout: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same, but for its failures, and that it takes every character.

    A file's name may be any bytes, and an old terminal may know few letters.
    """
    return io.TextIOWrapper(
        io.BufferedWriter(_Stdout(1, "w", closefd=False)),
        encoding=stdout.encoding,
        errors="backslashreplace",
        line_buffering=stdout.line_buffering,
        write_through=stdout.write_through,
    )


def _null_stream(number: int, mode: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.FileIO(number, mode, closefd=False), encoding="utf-8", errors="backslashreplace"
    )
