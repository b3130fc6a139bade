"""The program of the process that parses large JSON documents; see `json_process.py`, which starts it.

Both directions are messages of pieces: four bytes with the length, then the bytes; a length of 0 ends the message. A
document is one message. The answer is a pickled pair of its kind and its value, then a message for each long text of it.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from mosaic_deploy.platform.http.json_text import LongText, parse

PIECE_BYTES = 256 * 1024
LENGTH_BYTES = 4
END = b"\0" * LENGTH_BYTES
_LONG = 256 * 1024
"""Characters. Shorter texts are in the pickle."""


def main() -> None:
    # Requests of others come first.
    os.nice(10)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Sent to the whole group by a terminal; this process ends with its parent.
        signal.signal(number, signal.SIG_IGN)
    # The parent may end while it is answered: no traceback in the platform's log.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    while _answer_one(sys.stdin.buffer, sys.stdout.buffer):
        continue


def _answer_one(source: BinaryIO, target: BinaryIO) -> bool:
    """False at the end. A function of its own: while the next document is awaited, nothing of this one is in memory."""
    raw = _read_message(source)
    if raw is None:
        return False
    answer, texts = _parse(raw)
    for message in (pickle.dumps(answer), *texts):
        target.writelines(pieces_of(message))
    target.flush()
    return True


def _parse(raw: bytes) -> tuple[tuple[str, Any], list[bytes]]:
    """The answer, with placeholders for long texts, and the long texts in UTF-8."""
    try:
        document = parse(raw)
    except UnicodeError:
        return ("not UTF-8", None), []
    except RecursionError:
        return ("too deep", None), []
    except ValueError as error:
        return ("invalid", str(error)), []
    texts = []
    if isinstance(document, dict):
        for name, value in document.items():
            if isinstance(value, str) and len(value) > _LONG:
                texts.append(value.encode())
                document[name] = LongText()
    return ("parsed", document), texts


def pieces_of(message: bytes) -> Iterator[bytes]:
    """The message as it is sent."""
    view = memoryview(message)
    for at in range(0, len(message), PIECE_BYTES):
        piece = view[at : at + PIECE_BYTES]
        yield len(piece).to_bytes(LENGTH_BYTES)
        yield bytes(piece)
    yield END


def _read_message(source: BinaryIO) -> bytes | None:
    """None at the end, also in the middle of a message: the parent has ended."""
    pieces = []
    while size := int.from_bytes(source.read(LENGTH_BYTES)):
        pieces.append(source.read(size))
        if len(pieces[-1]) < size:
            return None
    return b"".join(pieces) if pieces else None


if __name__ == "__main__":
    main()
