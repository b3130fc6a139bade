"""Which casts between column types silently lose part of the value."""

from __future__ import annotations

from mosaic_deploy.sql.hazards.syntax.types import ColumnType

_TEXTS = frozenset({"text", "varchar", "bpchar", "citext"})
_BITS = frozenset({"bit", "varbit"})
_INTEGERS = frozenset({"int2", "int4", "int8", "oid"})
_FLOATS = frozenset({"float4", "float8"})
_TIME_TYPES = frozenset({"timestamp", "timestamptz", "time", "timetz", "interval"})
_DEFAULT_PRECISION = 6
"""Fractional digits of seconds if the type names no precision."""

_UNLIMITED = 1_000_000_000
_TEXT_WIDTHS = {"bool": 5, "int2": 6, "int4": 11, "int8": 20, "oid": 10, "date": 13, "uuid": 36}
"""Longest text form of a value in characters; other types have no limit."""

_ROUNDS, _TRUNCATES, _TIME = "rounds its values", "truncates its values", "drops the time of day"
_LOSSY_CASTS = {
    **{(old, new): _ROUNDS for old in (*_FLOATS, "numeric") for new in _INTEGERS},
    **{(old, "numeric"): _ROUNDS for old in _FLOATS},
    **{("numeric", new): _ROUNDS for new in _FLOATS},
    ("float8", "float4"): _ROUNDS,
    ("int8", "float8"): _ROUNDS,
    ("int8", "float4"): _ROUNDS,
    ("int4", "float4"): _ROUNDS,
    **{(old, "money"): _ROUNDS for old in (*_FLOATS, "numeric")},
    **{(old, "bool"): "keeps only whether each value is zero" for old in _INTEGERS},
    **{(old, new): _TRUNCATES for old in _TEXTS for new in ("name", "char")},
    **{(old, "date"): _TIME for old in ("timestamp", "timestamptz")},
    **{(old, new): "drops the date" for old in ("timestamp", "timestamptz") for new in ("time", "timetz")},
    ("interval", "time"): "drops the days",
    ("timetz", "time"): "drops the time zone",
    ("inet", "cidr"): "drops the host part of its addresses",
}
"""Casts that lose something whatever the modifiers, without an error from PostgreSQL."""


def cast_loss(old: ColumnType, new: ColumnType, *, explicit: bool) -> str:
    """What ALTER COLUMN TYPE loses of the values; "" if nothing, or if PostgreSQL would fail instead.

    `explicit`: USING spells out the cast. Such a cast truncates a text that is too long; without it PostgreSQL
    raises an error. Unknown types count as lossless.
    """
    if old == new or old.array != new.array:
        return ""
    if explicit and (loss := _explicit_cast_loss(old, new)):
        return loss
    if old.name == "numeric" == new.name:
        return _ROUNDS if _has_smaller_scale(old, new) else ""
    if old.name in _TIME_TYPES and new.name in _TIME_TYPES and _precision(new) < _precision(old):
        return _LOSSY_CASTS.get((old.name, new.name), _ROUNDS)
    return _LOSSY_CASTS.get((old.name, new.name), "")


def _explicit_cast_loss(old: ColumnType, new: ColumnType) -> str:
    """What an explicit cast does to text or bits that are too long."""
    for family in (_TEXTS, _BITS):
        if old.name in family and new.name in family:
            return _TRUNCATES if _is_shorter(old, new) else ""
    if old.name in _INTEGERS and new.name == "bit":
        return _TRUNCATES
    fits = (_length(new) or _UNLIMITED) >= _TEXT_WIDTHS.get(old.name, _UNLIMITED)
    return _TRUNCATES if new.name in ("varchar", "bpchar") and not fits else ""


def _is_shorter(old: ColumnType, new: ColumnType) -> bool:
    before, after = _length(old), _length(new)
    return after is not None and (before is None or after < before)


def _has_smaller_scale(old: ColumnType, new: ColumnType) -> bool:
    return bool(new.mods) and (not old.mods or _scale(new) < _scale(old))


def _scale(found: ColumnType) -> int:
    scale = found.mods[1] if len(found.mods) > 1 else 0
    return scale if isinstance(scale, int) else 0


def _precision(found: ColumnType) -> int:
    numbers = [mod for mod in found.mods if isinstance(mod, int)]
    return numbers[-1] if numbers else _DEFAULT_PRECISION


def _length(found: ColumnType) -> int | None:
    """The length limit; 1 for `char` and `bit` without one."""
    first = found.mods[0] if found.mods else None
    if isinstance(first, int):
        return first
    return 1 if found.name in ("bpchar", "bit") else None
