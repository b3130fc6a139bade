"""Folders of files: which of them are deployed, and their digests."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.errors import Location, Problem, SourceError, SourceRefused, SourceUnreadable
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files.digests import HashCounter, OnHashed, ignore_progress, read_digest
from mosaic_deploy.source.files.gitignore import FileSelection, compile_matcher
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.names import similar_name_notes, unicode_duplicate_problems
from mosaic_deploy.source.files.secrets import secret_problems
from mosaic_deploy.source.files.stat_cache import StatCache
from mosaic_deploy.source.files.walk import Walk, WalkedFile, vanished_error
from mosaic_deploy.source.problems import ErrorCollector

SERVED_SUFFIXES = frozenset(
    ".html .css .js .json .txt .svg .png .jpg .jpeg .gif .ico .webp".split()  # noqa: SIM905 - as the guide lists them
)
"""Suffixes that static hosting serves, from the platform's guide."""


@dataclass(frozen=True, slots=True)
class SelectedFiles:
    """What a selection has: files by their name on the platform, in order of name, and what to say about them."""

    found: dict[str, LocalFile]
    secrets: tuple[Problem, ...] = ()
    """Places that look like secrets, without those that the selection allows."""
    ignored: int = 0
    """How many names `.mosaicignore` left out."""
    hidden: int = 0
    """How many were left out for the dot they begin with."""
    complete: bool = True
    """Whether `found` has all of them: none was refused or unreadable."""

    def notes(self, kind: str) -> Iterator[Note]:
        yield from similar_name_notes(kind, self.found)
        if self.ignored or self.hidden:
            yield Note("files_left_out", f"{kind}: {self._left_out()}", Severity.INFO)

    def _left_out(self) -> str:
        ignored = f"{self.ignored} left out by .mosaicignore" if self.ignored else ""
        dotted = f"{self.hidden} left out for a dot at the beginning of the name" if self.hidden else ""
        return ", ".join(filter(None, (ignored, dotted)))


BeforeHashing = Callable[[Sequence[WalkedFile], int], None]
"""Is given the files of a folder before any is hashed, and how many bytes are to be. May refuse them."""


def read_files(
    root: Path,
    selection: FileSelection,
    cache: StatCache | None = None,
    on_hashed: OnHashed = ignore_progress,
    before_hashing: BeforeHashing | None = None,
    mistakes: ErrorCollector | None = None,
) -> SelectedFiles:
    """Every selected file, hashed where the cache doesn't know it.

    What is refused is added to `mistakes` where those are given, and left out; else it is raised at the end.
    Raises what `before_hashing` does; SourceRefused for names that can't be sent or collide, links that leave the project folder and special
    files, all at once; SourceUnreadable; SourceChanged where the folder changes meanwhile.
    """
    cache = cache or StatCache(None)
    walk = Walk(root, selection)
    files = list(walk.files())
    walk.problems += unicode_duplicate_problems(sorted(file.relative_path for file in files))
    files.sort(key=lambda file: file.name)
    digests = [cache.find(file.relative_path, file.status) for file in files]
    unread_bytes = sum(
        file.status.st_size for file, known in zip(files, digests, strict=True) if known is None
    )
    if before_hashing:
        before_hashing(files, unread_bytes)
    hashing = HashCounter(on_hashed, unread_bytes)
    found: dict[str, LocalFile] = {}
    secrets: list[Problem] = []
    allowed = compile_matcher(selection.allow_secrets)
    for file, known in zip(files, digests, strict=True):
        try:
            digest = known or read_digest(f"{root}/{file.relative_path}", file.relative_path, cache, hashing)
        except FileNotFoundError as error:
            raise vanished_error(file.relative_path) from error
        except OSError as error:
            walk.unreadable.append(Problem(f"can't be read: {error.strerror}", Location(file.relative_path)))
            continue
        found[file.name] = LocalFile(Object(file.name, digest.sha256, digest.size), root, file.relative_path)
        if allowed is None or not allowed(file.name[len(selection.prefix) :]):
            secrets += secret_problems(file, digest.findings)
    refused = _files_error(walk)
    if refused and mistakes is None:
        raise refused
    if refused and mistakes is not None:
        mistakes.add(refused)
    return SelectedFiles(found, tuple(secrets), walk.ignored, walk.hidden, complete=refused is None)


def refuse_unserved(files: dict[str, LocalFile]) -> None:
    """Raises SourceRefused naming every file of a kind that static hosting doesn't serve."""
    problems = [
        Problem(
            f"static hosting doesn't serve {suffix or 'files without a suffix'}", Location(file.relative_path)
        )
        for name, file in files.items()
        if (suffix := _suffix(name)).lower() not in SERVED_SUFFIXES
    ]
    if problems:
        raise SourceRefused(
            "some files are of kinds that static hosting doesn't serve",
            hint="leave them out with static.exclude, or move them to the storage folder; "
            f"served are {' '.join(sorted(SERVED_SUFFIXES))}",
            problems=problems,
        )


def _suffix(name: str) -> str:
    # posixpath rather than Path, which takes ten times as long for each of many thousand names.
    return posixpath.splitext(name)[1].rstrip(".")


def _files_error(walk: Walk) -> SourceError | None:
    """Why some of the files can't be deployed, None where all can."""
    problems = [*walk.problems, *walk.unreadable]
    if walk.problems:
        return SourceRefused(
            "some files can't be deployed", problems=sorted(problems, key=lambda p: p.location.file)
        )
    if len(problems) == 1:
        [problem] = problems
        return SourceUnreadable(f"{problem.location.file} {problem.message}", location=problem.location)
    return SourceUnreadable("some files can't be read", problems=problems) if problems else None
