"""Makes stdin, stdout and stderr usable even if they are closed, full or have no reader, and what is printed safe."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from mosaic_deploy.cli.visible_text import safe_text

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


class _SafeStream(io.TextIOWrapper):
    """Whatever is printed, by whichever part of the program, goes through `safe_text` here."""

    def write(self, text: str, /) -> int:
        super().write(safe_text(text, terminal=self.isatty()))
        return len(text)

    def write_exactly(self, text: str) -> None:
        """See `visible_text.write_exactly`."""
        super().write(text)


def prepare() -> None:
    """Redirects closed streams to the null device, and makes stdout and stderr accept every character.

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
        sys.stdout = _wrap(_Stdout(1, "w", closefd=False), sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _wrap(io.FileIO(2, "w", closefd=False), sys.stderr)


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


def _wrap(raw: io.FileIO, stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """A stream like `stream` that writes to `raw`, and escapes the characters that its encoding lacks."""
    return _SafeStream(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _null_stream(number: int, mode: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.FileIO(number, mode, closefd=False), encoding="utf-8", errors="backslashreplace"
    )
