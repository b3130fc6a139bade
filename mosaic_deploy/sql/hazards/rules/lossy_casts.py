"""Which casts between column types, and which expressions of USING, silently lose part of the value."""

from __future__ import annotations

from typing import Any

from mosaic_deploy.sql.hazards.syntax.names import list_name, string_values
from mosaic_deploy.sql.hazards.syntax.types import ColumnType
from mosaic_deploy.sql.tree import walk

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


_KEEPING_FUNCTIONS = frozenset(
    [
        "timezone",
        "to_json",
        "to_jsonb",
        "json_build_object",
        "jsonb_build_object",
        "json_build_array",
        "jsonb_build_array",
        "row_to_json",
        "array_to_json",
        "array_append",
        "array_prepend",
        "array_cat",
        "encode",
        "decode",
        "convert_from",
        "convert_to",
        "quote_ident",
        "quote_literal",
        "to_timestamp",
        "string_to_array",
        "hstore",
        "point",
        "reverse",
        "concat",
        "concat_ws",
        "uuid_send",
        "int8range",
        "numrange",
        "daterange",
        "tsrange",
        "tstzrange",
        "st_setsrid",
        "st_makepoint",
        "st_geomfromtext",
        "st_geogfromtext",
    ]
)
"""Functions from whose result the argument can be recovered."""
_TRIMMING_FUNCTIONS = frozenset({"btrim", "ltrim", "rtrim"})
"""Blanks around a number or date mean nothing."""
_KEEPING_OPERATORS = frozenset({"+", "-", "*", "||"})
_TEXT_TYPES = frozenset({"text", "varchar", "bpchar", "citext", "json", "jsonb"})


def expression_loss(using: Any, column: str, new: ColumnType) -> str:
    """What a USING expression that reads the column loses of its values; "" if they can be recovered."""
    lossy = _lossy_part(using, column, to_text=new.name in _TEXT_TYPES)
    return f"computes its values with {lossy}, from which the old ones can't be recovered" if lossy else ""


def _lossy_part(node: Any, column: str, *, to_text: bool) -> str:
    """The part of the expression that loses the column's value; "" if none does."""
    while cast := node.get("TypeCast"):
        node = cast["arg"]
    kind, fields = next(iter(node.items()))
    if kind == "ColumnRef":
        return ""
    if kind in ("A_ArrayExpr", "RowExpr", "CoalesceExpr"):
        return _lossy_argument(fields.get("elements") or fields.get("args") or [], column, to_text)
    if kind == "FuncCall":
        return _lossy_call(fields, column, to_text)
    if kind == "A_Expr":
        return _lossy_operator(fields, column, to_text)
    return _WORDS.get(kind, "an expression")


_WORDS = {"CaseExpr": "CASE", "NullTest": "IS NULL", "BoolExpr": "a condition"}


def _lossy_call(call: Any, column: str, to_text: bool) -> str:
    name = list_name(call["funcname"]).name
    keeps = (
        name in _KEEPING_FUNCTIONS
        or (name in _TRIMMING_FUNCTIONS and not to_text)
        or (name in ("extract", "date_part") and _is_epoch(call))
    )
    return _lossy_argument(call.get("args", []), column, to_text) if keeps else f"{name}()"


def _lossy_operator(fields: Any, column: str, to_text: bool) -> str:
    if fields.get("kind") == "AEXPR_NULLIF":
        # An empty text can't be cast to another type anyway.
        empty = "sval" in fields["rexpr"].get("A_Const", {}) and not _constant(fields["rexpr"])
        return _lossy_part(fields["lexpr"], column, to_text=to_text) if empty and not to_text else "NULLIF"
    [operator] = string_values(fields.get("name", [])) or [""]
    keeps = operator in _KEEPING_OPERATORS or (operator == "/" and _divides_exactly(fields))
    if fields.get("kind") != "AEXPR_OP" or not keeps:
        return f"operator {operator}"
    sides = [fields[side] for side in ("lexpr", "rexpr") if side in fields]
    if operator != "||" and all(_reads(side, column) for side in sides) and len(sides) > 1:
        return f"operator {operator}"
    if operator == "*" and any(_constant(side) in ("0", "0.0") for side in sides):
        return "operator *"
    return _lossy_argument(sides, column, to_text)


def _lossy_argument(arguments: list[Any], column: str, to_text: bool) -> str:
    """ "" if one of the arguments that read the column keeps its value, else what loses it."""
    found = [_lossy_part(one, column, to_text=to_text) for one in arguments if _reads(one, column)]
    return "" if "" in found or not found else found[0]


def _reads(node: Any, column: str) -> bool:
    references = (fields.get("fields", []) for kind, fields in walk(node) if kind == "ColumnRef")
    return any(string_values(fields)[-1:] == [column] for fields in references)


def _is_epoch(call: Any) -> bool:
    return _constant(call.get("args", [{}])[0]) == "epoch"


def _divides_exactly(fields: Any) -> bool:
    """Whether it isn't a division of integers."""
    cast = fields["lexpr"].get("TypeCast", {}).get("typeName", {}).get("names", [])
    return string_values(cast)[-1:] in (["numeric"], ["float8"]) or "fval" in fields["rexpr"].get(
        "A_Const", {}
    )


def _constant(node: Any) -> str:
    """The text of a constant; "" for anything else."""
    constant = node.get("A_Const", {})
    for kind in ("sval", "fval", "ival"):
        if kind in constant:
            return str(constant[kind].get(kind, 0 if kind == "ival" else ""))
    return ""
