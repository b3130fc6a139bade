"""Encodes the rows of one call as JSON while they arrive."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from mosaic_deploy.platform.sql.row_stream import ResultTooLarge
from mosaic_deploy.platform.sql.values import KNOWN_TYPES, json_encoder, json_string

_CELL_BYTES = 40
"""Memory overhead of one value in bytes, besides its text."""


class Rows:
    """The last statement's rows; for a statement without rows, one row with its command tag as `result`.

    Rows with user-defined types stay pending, because those may be arrays: the caller looks up `unknown_types` and
    calls `write_pending`.
    """

    def __init__(self, max_bytes: int) -> None:
        self.count = 0
        self.chunks: list[bytes] = []
        """JSON objects, several per chunk, separated by commas."""
        self.unknown_types: set[int] = set()
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._statement_ended = True
        self._keys: list[str] = []
        self._types: list[int] = []
        self._pending: list[list[list[str | None]]] = []

    def add(self, result: PGresult, encoding: str) -> None:
        """Add rows of the current statement. Raises ResultTooLarge."""
        if self._statement_ended:
            self._begin_statement(result, encoding)
        values = [
            [_text(result.get_value(row, column), encoding) for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]
        self.count += len(values)
        self._pending.append(values)
        if self.unknown_types:
            cells = sum(_CELL_BYTES + len(value or "") for row in values for value in row)
            self._count_bytes(cells + len(values) * sum(map(len, self._keys)))
        else:
            self.write_pending({})

    def end_statement(self, result: PGresult, encoding: str) -> None:
        """Finish the current statement with its final result."""
        if result.status == ExecStatus.TUPLES_OK:
            self.add(result, encoding)
        else:
            self._begin_statement(result, encoding)
            self.count = result.command_tuples or 0
            tag = (result.command_status or b"").decode()
            self.chunks.append(b'{"result":%s}' % json_string(tag).encode())
        self._statement_ended = True

    def write_pending(self, custom_arrays: Mapping[int, tuple[int, str]]) -> None:
        """Encode the pending rows. Raises ResultTooLarge."""
        encoders = [json_encoder(oid, custom_arrays) for oid in self._types]
        columns = list(zip(self._keys, encoders, strict=True))
        for values in self._pending:
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
                self.chunks.append(",".join(objects).encode())
                self._count_bytes(len(self.chunks[-1]))
        self._pending.clear()

    def _begin_statement(self, result: PGresult, encoding: str) -> None:
        self.count = self._used_bytes = 0
        self.chunks.clear()
        self._pending.clear()
        self._statement_ended = False
        self._keys = [f"{json_string(name)}:" for name in _column_names(result, encoding)]
        self._types = [result.ftype(column) for column in range(result.nfields)]
        self.unknown_types = set(self._types) - KNOWN_TYPES

    def _count_bytes(self, size: int) -> None:
        self._used_bytes += size
        if self._used_bytes > self._max_bytes:
            raise ResultTooLarge


def _text(value: bytes | None, encoding: str) -> str | None:
    return None if value is None else value.decode(encoding, "replace")


def _column_names(result: PGresult, encoding: str) -> list[str]:
    """Unique names: duplicates are numbered (id, id_2), because a JSON object keeps only one value per name."""
    original = [(result.fname(column) or b"").decode(encoding, "replace") for column in range(result.nfields)]
    taken = set(original)
    seen: set[str] = set()
    names = []
    for name in original:
        unique, number = name, 1
        while unique in seen or (number > 1 and unique in taken):
            number += 1
            unique = f"{name}_{number}"
        seen.add(unique)
        names.append(unique)
    return names
