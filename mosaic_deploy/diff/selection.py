"""What of a plan is to be done now: `--only` and `--except`, by resource and by address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from mosaic_deploy.errors import Location, Problem, SelectionInvalid
from mosaic_deploy.model.change import ApplyMigration, Change, CreateProject
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import Snapshot

RESOURCES = {
    "project": "project",
    "extensions": "extension",
    "migrations": "migration",
    "seeds": "seed",
    "static": "static",
    "storage": "storage",
    "auth": "auth",
}
"""As the manifest's sections and fields are called → the kind of change."""
_KINDS = {**{kind: kind for kind in RESOURCES.values()}, **RESOURCES}

Names = Mapping[str, frozenset[str]]
"""The names that either side knows, by kind."""


@dataclass(frozen=True, slots=True)
class Selector:
    """`text` as it was written; `pattern` None means the whole kind."""

    text: str
    kind: str
    pattern: str | None = None

    def matches(self, kind: str, name: str) -> bool:
        if kind != self.kind:
            return False
        # A name is itself, whatever its characters mean in a pattern.
        return self.pattern is None or name == self.pattern or _matcher(self.pattern)(name)


@dataclass(frozen=True, slots=True)
class Selection:
    """Without `only` everything is taken; what `excluded` takes is left out in any case."""

    only: tuple[Selector, ...] = ()
    excluded: tuple[Selector, ...] = ()

    def matches(self, kind: str, name: str) -> bool:
        wanted = not self.only or any(selector.matches(kind, name) for selector in self.only)
        return wanted and not any(selector.matches(kind, name) for selector in self.excluded)


ALL = Selection()


def parse_selector(text: str) -> Selector:
    """`static`, `static:about/*.html`. Patterns are gitignore's, as in the manifest. ValueError says what is wrong."""
    resource, colon, pattern = text.partition(":")
    kind = _KINDS.get(resource)
    if kind is None:
        raise ValueError(
            f"{resource!r} is no resource{_suggest_resource(resource)}; known: {', '.join(RESOURCES)}"
        )
    if not colon:
        return Selector(text, kind)
    if not pattern:
        raise ValueError(f"{text!r} names nothing after the colon; {resource!r} alone means all of it")
    try:
        _matcher(pattern)
    except ValueError:
        raise ValueError(f"{pattern!r} is no pattern in gitignore's language") from None
    return Selector(text, kind, pattern)


def known_names(desired: Snapshot, live: Snapshot) -> Names:
    """Every name that a selector may mean, on either side."""
    sides = (desired, live)
    return {
        "project": frozenset({live.project.name}),
        "extension": desired.extensions | live.extensions,
        "migration": frozenset(m.file for side in sides for m in side.migrations or ()),
        "seed": frozenset(path for side in sides for path in side.seeds or ()),
        "static": frozenset(path for side in sides for path in side.static or ()),
        "storage": frozenset(path for side in sides for path in side.storage or ()),
        "auth": frozenset({"magic_link"}) if any(side.auth for side in sides) else frozenset(),
    }


def select(plan: Plan, selection: Selection, names: Names, *, single_transaction: bool = False) -> Plan:
    """The plan with the changes that the selection takes, in their order; the others are its `left_out`.

    A project that isn't there yet is created with whatever else is taken. Raises SelectionInvalid for a
    pattern of `only` that means nothing on either side, and for migrations taken without those before them.
    """
    if selection == ALL:
        return plan
    _refuse_unknown_names(selection.only, names)
    taken = {change.address for change in plan.changes if selection.matches(*_kind_and_name(change))}
    creation = {change.address for change in plan.changes if isinstance(change, CreateProject)}
    if taken:
        taken |= creation
    _refuse_gaps(plan.changes, taken, single_transaction=single_transaction)
    return replace(
        plan,
        changes=tuple(change for change in plan.changes if change.address in taken),
        notes=(
            *(note for note in plan.notes if _note_is_selected(note, selection)),
            *_unused_exclusion_notes(selection.excluded, names),
        ),
        only=tuple(selector.text for selector in selection.only),
        excluded=tuple(selector.text for selector in selection.excluded),
        left_out=tuple(change.address for change in plan.changes if change.address not in taken),
    )


def _kind_and_name(change: Change) -> tuple[str, str]:
    kind, _, name = change.address.partition(":")
    return kind, name


def _note_is_selected(note: Note, selection: Selection) -> bool:
    """Whether a note is about the whole, or about something that is taken."""
    parts = [address.partition(":") for address in note.addresses]
    return not parts or any(selection.matches(kind, name) for kind, _, name in parts)


def _refuse_unknown_names(only: Iterable[Selector], names: Names) -> None:
    strangers = [selector for selector in only if _matches_nothing(selector, names)]
    if strangers:
        told = ", ".join(f"{each.text}{_suggest_name(each, names)}" for each in strangers)
        raise SelectionInvalid(f"--only names what is neither in the folder nor live: {told}", hint=_HINT)


_HINT = "patterns are gitignore's, matched against addresses as the plan shows them: static:about/*.html"


def _unused_exclusion_notes(excluded: Iterable[Selector], names: Names) -> Iterator[Note]:
    for selector in excluded:
        if _matches_nothing(selector, names):
            message = (
                f"--except {selector.text} leaves nothing out: nothing of that name is in the folder or live"
            )
            yield Note("except_idle", message, Severity.WARNING)


def _matches_nothing(selector: Selector, names: Names) -> bool:
    """A whole resource may be empty; a pattern that means nothing is a slip of the pen."""
    if selector.pattern is None:
        return False
    return not any(selector.matches(selector.kind, name) for name in names.get(selector.kind, ()))


def _suggest_name(selector: Selector, names: Names) -> str:
    from difflib import get_close_matches

    close = get_close_matches(selector.pattern or "", sorted(names.get(selector.kind, ())), 1)
    return f" (did you mean {selector.text.partition(':')[0]}:{close[0]}?)" if close else ""


def _refuse_gaps(changes: Iterable[Change], taken: set[str], *, single_transaction: bool) -> None:
    """A migration may rely on every one before it, so only the first ones of those pending can be taken."""
    pending = [change for change in changes if isinstance(change, ApplyMigration)]
    left = [change for change in pending if change.address not in taken]
    chosen = [change for change in pending if change.address in taken]
    if not (left and chosen):
        return
    first = int(left[0].version)
    problems = [
        Problem(f"comes after {left[0].file}, which is pending too and left out", Location(change.file))
        for change in chosen
        if int(change.version) > first
    ]
    if problems:
        raise SelectionInvalid(
            "migrations are applied in their order, none skipped",
            problems=problems,
            hint=f"take {left[0].address} as well, or leave out what comes after it",
        )
    if single_transaction:
        raise SelectionInvalid(
            "database.transaction is `all`: pending migrations are applied all or none",
            problems=[Problem("is left out", Location(change.file)) for change in left],
            hint="take all migrations, or none",
        )


@cache
def _matcher(pattern: str) -> Callable[[str], bool]:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines([pattern]).match_file


def _suggest_resource(resource: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(resource.lower(), list(_KINDS), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
