"""Makes stdin, stdout and stderr usable even if they are closed, full or have no reader."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class StdoutUnwritable(OSError):
    """stdout can't be written: the disk is full, or the device is gone."""


class _Stdout(io.FileIO):
    """stdout with an error class of its own."""

    def write(self, data: Buffer, /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except (BrokenPipeError, BlockingIOError):
            raise
        except OSError as error:
            raise StdoutUnwritable(*error.args) from None


def prepare() -> None:
    """Redirects closed streams to the null device, and makes stdout accept every character.

    Otherwise the next opened file would get the number of a closed stream, and its output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # open() uses the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or _null_stream(0, "r")
    sys.stdout = sys.stdout or _null_stream(1, "w")
    sys.stderr = sys.stderr or _null_stream(2, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _wrap_stdout(sys.stdout)


def flush_stdout() -> OSError | None:
    """The error that stdout can't be written, None on success."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def redirect_to_null(number: int) -> None:
    """Redirects a stream to the null device, so that the interpreter's final flush doesn't fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _wrap_stdout(stdout: io.TextIOWrapper) -> io.TextIOWrapper:
    """`stdout` with its own error class, which escapes the characters that its encoding lacks."""
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
