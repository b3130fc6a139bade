"""What is known about functions by their names."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from mosaic_deploy.sql.hazards.syntax.names import list_name
from mosaic_deploy.sql.tree import walk

_STABLE = """
    now transaction_timestamp statement_timestamp timezone date_trunc date_part make_date make_interval
    make_time make_timestamp make_timestamptz to_timestamp to_date to_char to_number age justify_days
    current_setting current_database current_schema version concat concat_ws format lower upper trim btrim
    ltrim rtrim left right substring substr replace repeat length char_length md5 sha256 encode decode digest
    convert_to convert_from abs ceil ceiling floor round trunc power sqrt mod greatest least array_fill
    array_append string_to_array array_to_json to_json to_jsonb json_build_object json_build_array
    jsonb_build_object jsonb_build_array json_object jsonb_object row_to_json to_tsvector to_tsquery uuid_nil
    uuid_generate_v5 uuid_generate_v3 int4range int8range numrange daterange tsrange tstzrange point box
    circle hstore st_makepoint st_setsrid txid_current pg_current_xact_id
"""
STABLE_FUNCTIONS = frozenset(_STABLE.split())
"""Immutable and stable functions common in defaults: PostgreSQL computes them once for a new column."""
_OTHERS = """
    array_agg avg clock_timestamp count currval dense_rank every first_value gen_random_uuid generate_series
    generate_subscripts json_agg json_array_elements json_array_elements_text json_each json_each_text
    json_object_agg json_object_keys json_populate_record json_populate_recordset json_to_record json_to_recordset
    jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_each jsonb_each_text
    jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_populate_record jsonb_set
    jsonb_strip_nulls jsonb_typeof lag last_value lastval lead max min nextval num_nonnulls num_nulls
    obj_description pg_advisory_lock pg_advisory_unlock pg_advisory_xact_lock pg_get_constraintdef
    pg_get_functiondef pg_get_serial_sequence pg_get_viewdef pg_notify pg_sleep pg_typeof quote_ident quote_literal
    quote_nullable random rank regexp_matches regexp_replace regexp_split_to_table reverse row_number set_config
    setseed setval split_part starts_with string_agg strpos sum to_regclass to_regproc to_regtype translate unnest
"""
BUILTIN_FUNCTIONS = STABLE_FUNCTIONS | frozenset(_OTHERS.split())
"""Functions of PostgreSQL and common extensions that migrations often call. They change no tables, so they need no lookup."""


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
