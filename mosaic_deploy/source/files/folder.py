"""Reads the files to deploy from a folder, with their digests."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mosaic_deploy.errors import Location, Problem, SourceError, SourceRefused, SourceUnreadable
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files.digests import HashCounter, OnHashed, ignore_progress, read_digest
from mosaic_deploy.source.files.gitignore import WELL_KNOWN, FileSelection, compile_matcher, escaped_pattern
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.names import similar_name_notes, unicode_duplicate_problems
from mosaic_deploy.source.files.secrets import secret_problems
from mosaic_deploy.source.files.stat_cache import StatCache
from mosaic_deploy.source.files.walk import Walk, WalkedFile, vanished_error
from mosaic_deploy.source.problems import ErrorCollector

SERVED_SUFFIXES = frozenset(
    ".html .css .js .json .txt .svg .png .jpg .jpeg .gif .ico .webp".split()  # noqa: SIM905 - as the guide lists them
)
"""File types that static hosting serves, according to the platform's guide."""

_OWN_PATH_NAMES = frozenset({"apple-app-site-association", "CNAME"})
_MAX_PROBLEMS = 20
"""Problems of an error about single files."""


@dataclass(frozen=True, slots=True)
class SelectedFiles:
    """The files of a selection by their name on the platform, sorted, and what was noticed about them."""

    found: dict[str, LocalFile]
    secrets: tuple[Problem, ...] = ()
    """Possible secrets, without those in `allow_secrets`."""
    ignored: tuple[str, ...] = ()
    """The files and folders (with a slash) excluded by .mosaicignore, relative to the selection's folder."""
    hidden: tuple[str, ...] = ()
    """Those excluded because their names start with a dot."""
    complete: bool = True
    """Whether no file was refused or unreadable."""
    route_files: dict[str, LocalFile] = field(default_factory=dict)
    """Files that are read and not published."""

    def without_published(self, names: Sequence[str]) -> SelectedFiles:
        """With the files `names` as route files, which may contain what looks like a secret."""
        route_files = {name: self.found[name] for name in names if name in self.found}
        places = {file.relative_path for file in route_files.values()}
        return replace(
            self,
            found={name: file for name, file in self.found.items() if name not in route_files},
            secrets=tuple(problem for problem in self.secrets if problem.location.file not in places),
            route_files=route_files,
        )

    def notes(self, kind: str) -> Iterator[Note]:
        yield from similar_name_notes(kind, self.found)
        if self.ignored or self.hidden:
            yield Note("files_left_out", f"{kind}: {self._left_out(kind)}", Severity.INFO)

    def _left_out(self, kind: str) -> str:
        """Names what was left out, and the field that includes dotfiles."""
        ignored = f"{len(self.ignored)} excluded by .mosaicignore ({_names_text(self.ignored)})"
        hidden = f"{len(self.hidden)} excluded as dotfiles unless {kind}.include names them ({_names_text(self.hidden)})"
        return ", ".join([ignored] * bool(self.ignored) + [hidden] * bool(self.hidden))


_MAX_NAMES = 20


def _names_text(names: Sequence[str]) -> str:
    shown = [name if name.isprintable() else ascii(name) for name in sorted(names)[:_MAX_NAMES]]
    more = [f"and {len(names) - _MAX_NAMES} more"] if len(names) > _MAX_NAMES else []
    return ", ".join([*shown, *more])


BeforeHashing = Callable[[Sequence[WalkedFile], int], None]
"""Called with a folder's files and the number of bytes to hash, before hashing. May raise to refuse them."""


def read_files(
    root: Path,
    selection: FileSelection,
    cache: StatCache | None = None,
    on_hashed: OnHashed = ignore_progress,
    before_hashing: BeforeHashing | None = None,
    errors: ErrorCollector | None = None,
) -> SelectedFiles:
    """All selected files. Files that the cache doesn't know are hashed.

    Files that can't be deployed are left out; the error is added to `errors` if given, else raised at the end. Raises
    SourceRefused (for invalid or duplicate names, links out of the project and special files, all at once),
    SourceUnreadable, SourceChanged if files change meanwhile, and what `before_hashing` raises.
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
        except FileNotFoundError as reason:
            raise vanished_error(file.relative_path) from reason
        except OSError as reason:
            walk.unreadable.append(Problem(f"can't be read: {reason.strerror}", Location(file.relative_path)))
            continue
        found[file.name] = LocalFile(Object(file.name, digest.sha256, digest.size), root, file.relative_path)
        if allowed is None or not allowed(file.name[len(selection.prefix) :]):
            secrets += secret_problems(file, digest.findings)
    error = _files_error(walk)
    if error and errors is None:
        raise error
    if error and errors is not None:
        errors.add(error)
    return SelectedFiles(
        found, tuple(secrets), tuple(walk.ignored), tuple(walk.hidden), complete=error is None
    )


def is_served_type(name: str) -> bool:
    """Whether static hosting serves files of this type."""
    return _suffix(name).lower() in SERVED_SUFFIXES


def needs_own_path(name: str) -> bool:
    """Whether a program asks for the file at exactly this path: at another address it is of no use."""
    return name.startswith(f"{WELL_KNOWN}/") or posixpath.basename(name) in _OWN_PATH_NAMES


def refuse_unserved(files: Mapping[str, LocalFile], exclude: Sequence[str] = ()) -> None:
    """Raises SourceRefused with the types of files that static hosting doesn't serve, and a line that excludes them.

    `exclude` has the patterns that the manifest excludes already.
    """
    by_type: dict[str, list[str]] = {}
    for name in files:
        if not is_served_type(name):
            by_type.setdefault(_suffix(name), []).append(name)
    if by_type:
        patterns = [*exclude, *dict.fromkeys(_patterns(by_type))]
        raise SourceRefused(
            "unsupported file types",
            hint="set `unsupported: storage` under static to serve them from storage, with the references to them rewritten; "
            f"or leave them out: `exclude: {json.dumps(patterns, ensure_ascii=False)}`",
            problems=[
                Problem(
                    _unserved_text(suffix, names),
                    Location(files[names[0]].relative_path),
                    hint=_OWN_PATH_HINT if any(map(needs_own_path, names)) else None,
                )
                for suffix, names in sorted(by_type.items(), key=lambda each: (-len(each[1]), each[0]))
            ],
        )


_OWN_PATH_HINT = "leave out what is asked for at exactly this path, because storage has another: only another host can serve it"


def _patterns(by_type: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Patterns that match the files: by type, or by name of those without an extension."""
    for suffix in sorted(by_type):
        if suffix:
            yield f"*{escaped_pattern(suffix)}"
        else:
            yield from (escaped_pattern(posixpath.basename(name)) for name in by_type[suffix])


def _unserved_text(suffix: str, names: Sequence[str]) -> str:
    which = f"{suffix} files" if suffix else "files without an extension"
    count = "" if len(names) == 1 else f" ({len(names):,} files)"
    return f"static hosting doesn't serve {which}{count}"


def _suffix(name: str) -> str:
    # posixpath, because Path takes ten times as long, and there may be many thousand names.
    return posixpath.splitext(name)[1].rstrip(".")


def _files_error(walk: Walk) -> SourceError | None:
    """The error for the files that can't be deployed, None if there are none."""
    problems = [*walk.problems, *walk.unreadable]
    if walk.problems:
        ordered = sorted(problems, key=lambda p: p.location.file)
        more = f"; the first {_MAX_PROBLEMS} of {len(ordered):,}" if len(ordered) > _MAX_PROBLEMS else ""
        return SourceRefused(f"some files can't be deployed{more}", problems=ordered[:_MAX_PROBLEMS])
    if len(problems) == 1:
        [problem] = problems
        return SourceUnreadable(f"{problem.location.file} {problem.message}", location=problem.location)
    return SourceUnreadable("some files can't be read", problems=problems) if problems else None
