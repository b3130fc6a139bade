"""What a deploy's row reports about it. The database's role can write anything there, so what isn't a report's is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Check = Callable[[object], bool]


def sound_report(value: object) -> dict[str, Any]:
    """The report without the fields that have values of other types than a deploy writes; empty if it is of another type."""
    if not isinstance(value, dict):
        return {}
    return {name: field for name, field in value.items() if _FIELDS.get(name, _anything)(field)}


def _anything(_: object) -> bool:
    return True


def _is(*types: type) -> Check:
    return lambda value: isinstance(value, types)


def _each(item: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(item, value))


def _by_name(item: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(item, value.values()))


def _having(required: tuple[str, ...] = (), **fields: Check) -> Check:
    """An object whose fields pass their checks, if it has them."""
    return lambda value: (
        isinstance(value, dict)
        and all(name in value for name in required)
        and all(check(value[name]) for name, check in fields.items() if name in value)
    )


_TEXT = _is(str, type(None))
_APPROVED = _having(("value", "by"), value=_is(str), by=_is(str))
_FIELDS: dict[str, Check] = {
    "commit": _TEXT,
    "dirty": _is(bool),
    "done": _each(_is(str)),
    "error": _having(message=_TEXT, location=_TEXT, code=_TEXT),
    "sql": _by_name(_is(dict)),
    "counts": _by_name(_by_name(_is(int))),
    "approval": _having(confirmed=_TEXT, approved=_each(_APPROVED)),
}
