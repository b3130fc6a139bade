"""The rows of one call's answer, made into JSON while they arrive."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from mosaic_deploy.platform.sql.row_stream import TooMuch
from mosaic_deploy.platform.sql.values import KNOWN, as_string, writer

_CELL = 40
"""Bytes that a value costs in memory beside its text."""


class Rows:
    """The last statement's rows, or one row with its command tag where it has none.

    A row with a type of the database's own waits until somebody has found out whether that is an array:
    `unknown` are such types, and `finish` writes what waits.
    """

    def __init__(self, room: int) -> None:
        self.count = 0
        self.pieces: list[bytes] = []
        """JSON objects, several in a piece, with commas between them."""
        self.unknown: set[int] = set()
        self._room = room
        self._used = 0
        self._over = True
        self._heads: list[str] = []
        self._types: list[int] = []
        self._waiting: list[list[list[str | None]]] = []

    def add(self, result: PGresult, encoding: str) -> None:
        """Some rows of the statement under way. Raises TooMuch."""
        if self._over:
            self._begin(result, encoding)
        values = [
            [_text(result.get_value(row, column), encoding) for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]
        self.count += len(values)
        self._waiting.append(values)
        if self.unknown:
            cells = sum(_CELL + len(value or "") for row in values for value in row)
            self._take(cells + len(values) * sum(map(len, self._heads)))
        else:
            self.finish({})

    def end(self, result: PGresult, encoding: str) -> None:
        """The statement under way has ended."""
        if result.status == ExecStatus.TUPLES_OK:
            self.add(result, encoding)
        else:
            self._begin(result, encoding)
            self.count = result.command_tuples or 0
            tag = (result.command_status or b"").decode()
            self.pieces.append(b'{"result":%s}' % as_string(tag).encode())
        self._over = True

    def finish(self, own_arrays: Mapping[int, tuple[int, str]]) -> None:
        """Write what waits. Raises TooMuch."""
        writers = [writer(oid, own_arrays) for oid in self._types]
        columns = list(zip(self._heads, writers, strict=True))
        for values in self._waiting:
            objects = [
                "{"
                + ",".join(
                    head + ("null" if value is None else write(value))
                    for (head, write), value in zip(columns, row, strict=True)
                )
                + "}"
                for row in values
            ]
            if objects:
                self.pieces.append(",".join(objects).encode())
                self._take(len(self.pieces[-1]))
        self._waiting.clear()

    def _begin(self, result: PGresult, encoding: str) -> None:
        self.count = self._used = 0
        self.pieces.clear()
        self._waiting.clear()
        self._over = False
        self._heads = [f"{as_string(name)}:" for name in _column_names(result, encoding)]
        self._types = [result.ftype(column) for column in range(result.nfields)]
        self.unknown = set(self._types) - KNOWN

    def _take(self, size: int) -> None:
        self._used += size
        if self._used > self._room:
            raise TooMuch


def _text(value: bytes | None, encoding: str) -> str | None:
    return None if value is None else value.decode(encoding, "replace")


def _column_names(result: PGresult, encoding: str) -> list[str]:
    """A name that comes again gets a number, so that no column is lost: id, id_2."""
    wanted = [(result.fname(column) or b"").decode(encoding, "replace") for column in range(result.nfields)]
    taken = set(wanted)
    seen: set[str] = set()
    names = []
    for name in wanted:
        unique, number = name, 1
        while unique in seen or (number > 1 and unique in taken):
            number += 1
            unique = f"{name}_{number}"
        seen.add(unique)
        names.append(unique)
    return names
