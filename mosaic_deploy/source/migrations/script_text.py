"""Reads an SQL file as text. The COPY rows of a large file stay in it and are read when they are sent."""

from __future__ import annotations

import hashlib
import os
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mosaic_deploy.errors import Location, MigrationInvalid, Problem, SourceChanged, SourceUnreadable
from mosaic_deploy.sql.dump import is_dump
from mosaic_deploy.sql.scripts.outside_rows import OutsideRows
from mosaic_deploy.sql.scripts.scan import scan

LARGE_FILE = 8 * 1024 * 1024
"""Bytes from which on rows stay in the file."""
_FEW_ROWS = 64 * 1024
"""Bytes of rows that become part of the text even then."""
_PIECE = 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_CUSTOM_DUMP = b"PGDMP"
_COPY_LINE = re.compile(rb"\s*copy\b.*\bfrom\s+stdin\b.*;\s*\n", re.IGNORECASE)
_ROWS_END = b"\\.\n"


@dataclass(frozen=True, slots=True)
class ScriptText:
    """A file's text with LF as line end, unless CRLF is data. In place of rows `outside`, by offset, it has empty lines."""

    text: str
    checksum: str
    """sha256 of the whole text in UTF-8, rows included."""
    outside: Mapping[int, OutsideRows] = field(default_factory=dict)


def read_script_text(path: Path, relative_path: str) -> ScriptText:
    """Raises SourceUnreadable, and MigrationInvalid for what isn't UTF-8."""
    try:
        with path.open("rb") as file:
            if path.stat().st_size >= LARGE_FILE and (found := _read_large(file, path, relative_path)):
                return found
            file.seek(0)
            return _whole(file.read(), relative_path)
    except OSError as error:
        raise SourceUnreadable(
            f"{relative_path} can't be read: {error.strerror}", location=Location(relative_path)
        ) from error


def _whole(content: bytes, relative_path: str) -> ScriptText:
    text = _decode(content, relative_path)
    if not _has_crlf_as_data(text):
        # A checkout with CRLF is the same file, and what runs is the same on every machine, also in function bodies.
        text = text.replace("\r\n", "\n")
    return ScriptText(text, hashlib.sha256(text.encode()).hexdigest())


def _has_crlf_as_data(text: str) -> bool:
    """Whether CRLF is part of values and bodies: in a dump whose own lines end in LF."""
    first = text.find("\n")
    return is_dump(text) and text[first - 1 : first] != "\r"


def _decode(content: bytes, relative_path: str) -> str:
    if content.startswith(_CUSTOM_DUMP):
        hint = f"write it as SQL: pg_restore --no-owner --no-privileges -f FILE.sql {relative_path}"
        problem = Problem("a dump in pg_dump's custom format", Location(relative_path), hint=hint)
        raise MigrationInvalid(f"{relative_path} isn't SQL", problems=[problem])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        location = Location(relative_path, line, column)
        raise MigrationInvalid(
            f"{relative_path} isn't UTF-8",
            problems=[Problem("invalid UTF-8", location, hint="save the file as UTF-8")],
        ) from error


@dataclass(frozen=True, slots=True)
class _RowsInFile:
    """COPY rows from a byte of a file on. `digest` is the sha256 that they had when the file was read."""

    path: Path
    relative_path: str
    first_byte: int
    size: int
    lines: int
    digest: str

    def pieces(self) -> Iterator[str]:
        decoder = getincrementaldecoder("utf-8")("replace")
        digest = hashlib.sha256()
        with self._opened() as file:
            left = self.size
            while left and (content := file.read(min(_PIECE, left))):
                digest.update(content)
                left -= len(content)
                yield decoder.decode(content)
        if digest.hexdigest() != self.digest:
            raise self._changed()

    def read(self, first_byte: int, last_byte: int, digest: str) -> str:
        with self._opened() as file:
            file.seek(first_byte, os.SEEK_CUR)
            content = file.read(last_byte - first_byte)
        if hashlib.sha256(content).hexdigest() != digest:
            raise self._changed()
        return content.decode()

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            with self.path.open("rb") as file:
                file.seek(self.first_byte)
                yield file
        except OSError as error:
            raise self._changed() from error

    def _changed(self) -> SourceChanged:
        return SourceChanged(
            f"{self.relative_path} changed after it was read",
            hint="run the same command again to make a new plan",
            location=Location(self.relative_path),
        )


def _read_large(file: IO[bytes], path: Path, relative_path: str) -> ScriptText | None:
    """None for a file whose rows can't be told apart line by line; that one must be read whole."""
    reader = _LargeFile(path, relative_path)
    try:
        for line in file:
            reader.add(line)
    except (_ReadWhole, UnicodeDecodeError):
        return None
    return reader.script()


class _ReadWhole(Exception):
    pass


class _LargeFile:
    """Collects a file's lines. Between a line with COPY … FROM stdin and `\\.` are rows."""

    def __init__(self, path: Path, relative_path: str) -> None:
        self._path = path
        self._relative_path = relative_path
        self._digest = hashlib.sha256()
        self._texts: list[str] = []
        self._length = 0
        self._at_byte = 0
        self._rows: _Rows | None = None
        self._outside: dict[int, OutsideRows] = {}

    def add(self, line: bytes) -> None:
        """Raises _ReadWhole, UnicodeDecodeError."""
        if line.endswith(b"\r\n") or (self._at_byte == 0 and line.startswith((_BOM, _CUSTOM_DUMP))):
            raise _ReadWhole
        self._digest.update(line)
        self._at_byte += len(line)
        if self._rows is None:
            self._add_text(line.decode())
            if _COPY_LINE.fullmatch(line):
                self._rows = _Rows(self._at_byte)
        elif line != _ROWS_END:
            self._rows.add(line)
        else:
            self._end_rows(self._rows)
            self._rows = None
            self._add_text(line.decode())

    def script(self) -> ScriptText | None:
        text = "".join(self._texts)
        copies = {copy.start for copy in scan(text).copies}
        # A line in a string or a comment only looks like a COPY.
        if self._rows is not None or not self._outside.keys() <= copies:
            return None
        return ScriptText(text, self._digest.hexdigest(), self._outside)

    def _add_text(self, text: str) -> None:
        self._texts.append(text)
        self._length += len(text)

    def _end_rows(self, rows: _Rows) -> None:
        if rows.few is not None:
            self._add_text(b"".join(rows.few).decode())
            return
        self._outside[self._length] = _RowsInFile(
            self._path, self._relative_path, rows.first_byte, rows.size, rows.lines, rows.digest.hexdigest()
        )
        self._add_text("\n" * rows.lines)


class _Rows:
    """The rows of one COPY so far. `few` are the lines themselves, None for too many."""

    def __init__(self, first_byte: int) -> None:
        self.first_byte = first_byte
        self.size = 0
        self.lines = 0
        self.digest = hashlib.sha256()
        self.few: list[bytes] | None = []

    def add(self, line: bytes) -> None:
        """Raises UnicodeDecodeError."""
        if not line.isascii():
            line.decode()
        self.size += len(line)
        self.lines += 1
        self.digest.update(line)
        if self.few is not None:
            self.few.append(line)
            if self.size > _FEW_ROWS:
                self.few = None
