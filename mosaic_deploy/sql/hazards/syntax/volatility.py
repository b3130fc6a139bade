"""Which functions in a column default force PostgreSQL to compute a value per row."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from mosaic_deploy.sql.hazards.syntax.names import list_name
from mosaic_deploy.sql.tree import walk

STABLE_FUNCTIONS = frozenset(
    [
        "now",
        "transaction_timestamp",
        "statement_timestamp",
        "timezone",
        "date_trunc",
        "date_part",
        "make_date",
        "make_interval",
        "make_time",
        "make_timestamp",
        "make_timestamptz",
        "to_timestamp",
        "to_date",
        "to_char",
        "to_number",
        "age",
        "justify_days",
        "current_setting",
        "current_database",
        "current_schema",
        "version",
        "concat",
        "concat_ws",
        "format",
        "lower",
        "upper",
        "trim",
        "btrim",
        "ltrim",
        "rtrim",
        "left",
        "right",
        "substring",
        "substr",
        "replace",
        "repeat",
        "length",
        "char_length",
        "md5",
        "sha256",
        "encode",
        "decode",
        "digest",
        "convert_to",
        "convert_from",
        "abs",
        "ceil",
        "ceiling",
        "floor",
        "round",
        "trunc",
        "power",
        "sqrt",
        "mod",
        "greatest",
        "least",
        "array_fill",
        "array_append",
        "string_to_array",
        "array_to_json",
        "to_json",
        "to_jsonb",
        "json_build_object",
        "json_build_array",
        "jsonb_build_object",
        "jsonb_build_array",
        "json_object",
        "jsonb_object",
        "row_to_json",
        "to_tsvector",
        "to_tsquery",
        "uuid_nil",
        "uuid_generate_v5",
        "uuid_generate_v3",
        "int4range",
        "int8range",
        "numrange",
        "daterange",
        "tsrange",
        "tstzrange",
        "point",
        "box",
        "circle",
        "hstore",
        "st_makepoint",
        "st_setsrid",
        "txid_current",
        "pg_current_xact_id",
    ]
)
"""Immutable and stable functions common in defaults: PostgreSQL computes them once for a new column."""


def volatile_call(expression: Any, stable_functions: AbstractSet[str] = frozenset()) -> str:
    """The first called function that may be volatile; "" if there is none.

    `stable_functions` are further names known to be stable. An unknown function counts as volatile, which is also
    PostgreSQL's default.
    """
    for kind, fields in walk(expression):
        if kind == "FuncCall":
            name = list_name(fields.get("funcname", [])).name
            if name not in STABLE_FUNCTIONS and name not in stable_functions:
                return name
    return ""
