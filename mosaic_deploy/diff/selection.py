"""`--only` and `--except`: the part of a plan to apply, by resource or address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from mosaic_deploy.errors import Location, Problem, SelectionInvalid
from mosaic_deploy.model.change import ApplyMigration, Change, CreateProject, PutStatic, PutStorageFile
from mosaic_deploy.model.kind import BY_SELECTOR, Kind, Part
from mosaic_deploy.model.manifest import SITE_STORAGE_PREFIX
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import Snapshot

RESOURCES = {selector: kind.name for selector, kind in BY_SELECTOR.items()}
"""The words of `--only` → the kind of change."""
_KINDS = {**{kind: kind for kind in RESOURCES.values()}, **RESOURCES}

_FILE_KINDS = frozenset({"static", "storage"})

Names = Mapping[str, frozenset[str]]
"""The names on either side, by kind."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One `--only` or `--except` value. `text` is what the user wrote; `pattern` None selects the whole kind."""

    text: str
    kind: str
    pattern: str | None = None

    def matches(self, kind: str, name: str) -> bool:
        if kind != self.kind:
            return False
        # A name always matches itself, even if it contains pattern characters.
        return self.pattern is None or name == self.pattern or _matcher(self.pattern)(name)


@dataclass(frozen=True, slots=True)
class Selection:
    """Without `only` everything is selected; `excluded` always wins."""

    only: tuple[Selector, ...] = ()
    excluded: tuple[Selector, ...] = ()

    def matches(self, kind: str, name: str) -> bool:
        included = not self.only or any(selector.matches(kind, name) for selector in self.only)
        return included and not any(selector.matches(kind, name) for selector in self.excluded)

    @property
    def takes_files(self) -> bool:
        """Whether it may select static or storage files."""
        kinds = {selector.kind for selector in self.only} if self.only else _FILE_KINDS
        excluded = {selector.kind for selector in self.excluded if selector.pattern is None}
        return not _FILE_KINDS & kinds <= excluded


ALL = Selection()


def parse_selector(text: str) -> Selector:
    """Parses `static` or `static:about/*.html`, with a gitignore pattern. Raises ValueError with a message for users."""
    resource, colon, pattern = text.partition(":")
    kind = _KINDS.get(resource)
    if kind is None:
        raise ValueError(
            f"unknown resource {resource!r}{_suggest_resource(resource)}; use one of: {', '.join(RESOURCES)}"
        )
    if not colon:
        return Selector(text, kind)
    if not pattern:
        raise ValueError(f"nothing after the colon in {text!r}; use {resource!r} for all of it")
    try:
        _matcher(pattern)
    except ValueError:
        raise ValueError(f"{pattern!r} isn't a valid gitignore pattern") from None
    return Selector(text, kind, pattern)


def known_names(desired: Snapshot, live: Snapshot) -> Names:
    """Every name on either side that a selector can match."""
    found = {
        kind.name: _names(kind, getattr(desired, selector)) | _names(kind, getattr(live, selector))
        for selector, kind in BY_SELECTOR.items()
        if kind.part
    }
    return {**found, "project": frozenset({live.project.name})}


def _names(kind: Kind, part: Any) -> frozenset[str]:
    if kind.part is Part.VALUE:
        return frozenset({kind.member}) if part else frozenset()
    if kind.part is Part.MIGRATIONS:
        return frozenset(migration.file for migration in part or ())
    return frozenset(part or ())


def select(plan: Plan, selection: Selection, names: Names, *, single_transaction: bool = False) -> Plan:
    """The plan with only the selected changes, in order; the others become its `left_out`.

    A new project is created with whatever else is selected, and static files come with the site's files in storage, to which they
    may refer. Raises SelectionInvalid for an `only` pattern that
    matches nothing on either side, and for migrations selected without the pending ones before them.
    """
    if selection == ALL:
        return plan
    _refuse_unknown_names(selection.only, names)
    selected = {change.address for change in plan.changes if selection.matches(*_kind_and_name(change))}
    creation = {change.address for change in plan.changes if isinstance(change, CreateProject)}
    if any(isinstance(change, PutStatic) and change.address in selected for change in plan.changes):
        selected |= {
            change.address
            for change in plan.changes
            if isinstance(change, PutStorageFile)
            and change.path.startswith(SITE_STORAGE_PREFIX)
            and not any(selector.matches("storage", change.path) for selector in selection.excluded)
        }
    if selected:
        selected |= creation
    _refuse_gaps(plan.changes, selected, single_transaction=single_transaction)
    return replace(
        plan,
        changes=tuple(change for change in plan.changes if change.address in selected),
        notes=(
            *(note for note in plan.notes if _note_is_selected(note, selection)),
            *_unused_exclusion_notes(selection.excluded, names),
        ),
        only=tuple(selector.text for selector in selection.only),
        excluded=tuple(selector.text for selector in selection.excluded),
        left_out=tuple(change.address for change in plan.changes if change.address not in selected),
    )


def _kind_and_name(change: Change) -> tuple[str, str]:
    kind, _, name = change.address.partition(":")
    return kind, name


def _note_is_selected(note: Note, selection: Selection) -> bool:
    """Whether a note is about the whole plan, or about something selected."""
    addresses = [address.partition(":") for address in note.addresses]
    return not addresses or any(selection.matches(kind, name) for kind, _, name in addresses)


def _refuse_unknown_names(only: Iterable[Selector], names: Names) -> None:
    unknown = [selector for selector in only if _matches_nothing(selector, names)]
    if unknown:
        listed = ", ".join(f"{each.text}{_suggest_name(each, names)}" for each in unknown)
        raise SelectionInvalid(f"--only matches nothing: {listed}", hint=_HINT)


_HINT = "write RESOURCE:PATH, for example static:index.html or static:about/*.html"


def _unused_exclusion_notes(excluded: Iterable[Selector], names: Names) -> Iterator[Note]:
    for selector in excluded:
        if _matches_nothing(selector, names):
            message = f"--except {selector.text} matches nothing, so it leaves nothing out"
            yield Note("except_idle", message, Severity.WARNING)


def _matches_nothing(selector: Selector, names: Names) -> bool:
    """Whether a pattern matches no name, which is probably a typo. A whole resource may be empty."""
    if selector.pattern is None:
        return False
    return not any(selector.matches(selector.kind, name) for name in names.get(selector.kind, ()))


def _suggest_name(selector: Selector, names: Names) -> str:
    from difflib import get_close_matches

    close = get_close_matches(selector.pattern or "", sorted(names.get(selector.kind, ())), 1)
    return f" (did you mean {selector.text.partition(':')[0]}:{close[0]}?)" if close else ""


def _refuse_gaps(changes: Iterable[Change], selected: set[str], *, single_transaction: bool) -> None:
    """A migration may rely on every earlier one, so pending migrations can't be skipped."""
    pending = [change for change in changes if isinstance(change, ApplyMigration)]
    left_out = [change for change in pending if change.address not in selected]
    chosen = [change for change in pending if change.address in selected]
    if not (left_out and chosen):
        return
    later = pending[pending.index(left_out[0]) :]
    problems = [
        Problem(f"comes after {left_out[0].file}, which is pending but left out", Location(change.file))
        for change in chosen
        if change in later
    ]
    if problems:
        raise SelectionInvalid(
            "migrations are applied in order; none can be skipped",
            problems=problems,
            hint=f"select {left_out[0].address} too, or leave out the later migrations",
        )
    if single_transaction:
        raise SelectionInvalid(
            "database.transaction is `all`, so pending migrations are applied all or none",
            problems=[Problem("is left out", Location(change.file)) for change in left_out],
            hint="select all pending migrations, or none",
        )


@cache
def _matcher(pattern: str) -> Callable[[str], bool]:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines([pattern]).match_file


def _suggest_resource(resource: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(resource.lower(), list(_KINDS), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
