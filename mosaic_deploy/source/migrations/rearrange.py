"""Writes and renames migration files. Nothing is overwritten: what is in the way is kept under another name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.errors import FileExists, Location, WriteFailed
from mosaic_deploy.source.migrations.down import down_file_name


@dataclass(frozen=True, slots=True)
class Rearrangement:
    """Changes to a folder. Names are paths in it.

    `moves` are old and new names. `aside` are files to keep under a name that isn't a migration's.
    """

    writes: Mapping[str, str]
    moves: Mapping[str, str]
    aside: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.writes or self.moves or self.aside)


@dataclass(frozen=True, slots=True)
class Rearranged:
    """What was done, as names relative to the project folder."""

    written: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    kept: tuple[tuple[str, str], ...]


def rearrange(root: Path, folder: str, wanted: Rearrangement) -> Rearranged:
    """Carries out `wanted`. A file's down migration is renamed with it. Raises FileExists, WriteFailed."""
    path = root / folder
    relative = (path.relative_to(root)).as_posix() if path != root else ""

    def shown(name: str) -> str:
        return f"{relative}/{name}" if relative else name

    kept = [(name, _free_name(path, f"{name}.bak")) for name in wanted.aside]
    moves = dict(_with_down_files(path, wanted.moves))
    try:
        for old, new in kept:
            (path / old).rename(path / new)
        # By way of another name, because two files may exchange theirs.
        passing = {old: _free_name(path, f"{old}.moving") for old in moves}
        for old, between in passing.items():
            (path / old).rename(path / between)
        for old, new in moves.items():
            _refuse_existing(path, new, shown(new))
            (path / new).parent.mkdir(parents=True, exist_ok=True)
            (path / passing[old]).rename(path / new)
            _remove_empty(path, old)
        for name, text in wanted.writes.items():
            _refuse_existing(path, name, shown(name))
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            with (path / name).open("x", encoding="utf-8", newline="") as file:
                file.write(text)
    except OSError as error:
        raise WriteFailed(
            f"{folder} can't be changed: {error.strerror}", location=Location(folder)
        ) from error
    return Rearranged(
        tuple(map(shown, wanted.writes)),
        tuple((shown(old), shown(new)) for old, new in moves.items()),
        tuple((shown(old), shown(new)) for old, new in kept),
    )


def _refuse_existing(folder: Path, name: str, shown: str) -> None:
    if os.path.lexists(folder / name):
        raise FileExists(f"{shown} already exists", location=Location(shown))


def _remove_empty(folder: Path, name: str) -> None:
    """Removes the subfolder that a file was moved from, unless it has other files."""
    if "/" in name:
        with suppress(OSError):
            (folder / name).parent.rmdir()


def _free_name(folder: Path, name: str) -> str:
    """`name`, or with a number if it exists."""
    number = 2
    free = name
    while os.path.lexists(folder / free):
        free, number = f"{name}{number}", number + 1
    return free


def _with_down_files(folder: Path, moves: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for old, new in moves.items():
        yield old, new
        down = folder / down_file_name(old)
        beside = next(
            (path for path in down.parent.iterdir() if path.name.lower() == down.name.lower()), None
        )
        if beside:
            yield beside.relative_to(folder).as_posix(), down_file_name(new)
