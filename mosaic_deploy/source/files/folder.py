"""Folders of files: which of them are deployed, and their digests."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.errors import Location, Problem, SourceError, SourceRefused, SourceUnreadable
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files.digests import Hashed, Hashing, read_digest, unheard
from mosaic_deploy.source.files.gitignore import Selection, matcher
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.names import alike_notes, two_forms
from mosaic_deploy.source.files.secrets import secret_problems
from mosaic_deploy.source.files.stat_cache import StatCache
from mosaic_deploy.source.files.walk import Found, Walk, vanished
from mosaic_deploy.source.problems import Mistakes

SERVED = frozenset(
    ".html .css .js .json .txt .svg .png .jpg .jpeg .gif .ico .webp".split()  # noqa: SIM905 - as the guide lists them
)
"""Suffixes that static hosting serves, from the platform's guide."""


@dataclass(frozen=True, slots=True)
class Files:
    """What a selection has: files by their name on the platform, in order of name, and what to say about them."""

    found: dict[str, LocalFile]
    secrets: tuple[Problem, ...] = ()
    """Places that look like secrets, without those that the selection allows."""
    ignored: int = 0
    """How many names `.mosaicignore` left out."""
    hidden: int = 0
    """How many were left out for the dot they begin with."""
    whole: bool = True
    """Whether `found` has all of them: none was refused or unreadable."""

    def notes(self, kind: str) -> Iterator[Note]:
        yield from alike_notes(kind, self.found)
        if self.ignored or self.hidden:
            yield Note("files_left_out", f"{_SECTION[kind]}: {self._left_out()}", Severity.INFO)

    def _left_out(self) -> str:
        ignored = f"{self.ignored} left out by .mosaicignore" if self.ignored else ""
        dotted = f"{self.hidden} left out for a dot at the beginning of the name" if self.hidden else ""
        return ", ".join(filter(None, (ignored, dotted)))


_SECTION = {"static": "static", "asset": "storage"}

Before = Callable[[Sequence[Found], int], None]
"""Is given the files of a folder before any is hashed, and how many bytes are to be. May refuse them."""


def read_files(
    root: Path,
    selection: Selection,
    cache: StatCache | None = None,
    hashed: Hashed = unheard,
    before: Before | None = None,
    mistakes: Mistakes | None = None,
) -> Files:
    """Every selected file, hashed where the cache doesn't know it.

    What is refused is added to `mistakes` where those are given, and left out; else it is raised at the end.
    Raises what `before` does; SourceRefused for names that can't be sent or collide, links that leave the project folder and special
    files, all at once; SourceUnreadable; SourceChanged where the folder changes meanwhile.
    """
    cache = cache or StatCache(None)
    walk = Walk(root, selection)
    files = list(walk.files())
    walk.problems += two_forms(sorted(file.shown for file in files))
    files.sort(key=lambda file: file.name)
    digests = [cache.find(file.shown, file.status) for file in files]
    unread = sum(file.status.st_size for file, known in zip(files, digests, strict=True) if known is None)
    if before:
        before(files, unread)
    hashing = Hashing(hashed, unread)
    found: dict[str, LocalFile] = {}
    secrets: list[Problem] = []
    allowed = matcher(selection.allow_secrets)
    for file, known in zip(files, digests, strict=True):
        try:
            digest = known or read_digest(f"{root}/{file.shown}", file.shown, cache, hashing)
        except FileNotFoundError as error:
            raise vanished(file.shown) from error
        except OSError as error:
            walk.unreadable.append(Problem(f"can't be read: {error.strerror}", Location(file.shown)))
            continue
        found[file.name] = LocalFile(Object(file.name, digest.sha256, digest.size), root, file.shown)
        if allowed is None or not allowed(file.name[len(selection.prefix) :]):
            secrets += secret_problems(file, digest.findings)
    refused = _refused(walk)
    if refused and mistakes is None:
        raise refused
    if refused and mistakes is not None:
        mistakes.add(refused)
    return Files(found, tuple(secrets), walk.ignored, walk.hidden, whole=refused is None)


def refuse_unserved(files: dict[str, LocalFile]) -> None:
    """Raises SourceRefused naming every file of a kind that static hosting doesn't serve."""
    problems = [
        Problem(f"static hosting doesn't serve {suffix or 'files without a suffix'}", Location(file.shown))
        for name, file in files.items()
        if (suffix := _suffix(name)).lower() not in SERVED
    ]
    if problems:
        raise SourceRefused(
            "some files are of kinds that static hosting doesn't serve",
            hint="leave them out with static.exclude, or move them to the storage folder; "
            f"served are {' '.join(sorted(SERVED))}",
            problems=problems,
        )


def _suffix(name: str) -> str:
    # posixpath rather than Path, which takes ten times as long for each of many thousand names.
    return posixpath.splitext(name)[1].rstrip(".")


def _refused(walk: Walk) -> SourceError | None:
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
