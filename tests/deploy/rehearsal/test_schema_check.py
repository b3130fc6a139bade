"""What the database computes of relations, routines and types before a step is what a rehearsal computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.catalog.names import SET_SEARCH_PATH
from mosaic_deploy.live.catalog.read import read_catalog
from mosaic_deploy.live.catalog.touched_digests import (
    digests_of,
    group_by_touched,
    rehearsed_names,
    schema_differences,
    schema_reader,
    search_path_setting,
)
from mosaic_deploy.model.catalog import Rehearsal, SchemaObject
from mosaic_deploy.model.effects import StepTouches, Touched
from mosaic_deploy.sql.execution.failure import parse_failure
from mosaic_deploy.sql.guard.schema_check import schema_check
from mosaic_deploy.sql.quote import dollar_quote, json_literal
from tests.deploy.conftest import Site
from tests.deploy.planning.test_schema_drift import HAND_MADE, SCHEMA

Groups = Mapping[Touched, Mapping[SchemaObject, str]]
NAMES = """
CREATE SCHEMA "my app";
CREATE TABLE "my app"."order ""x"" (é" (id serial PRIMARY KEY, "Ü" text DEFAULT 'a''b\\c');
CREATE TYPE "my app"."T" AS (a int);
CREATE FUNCTION "my app"."f ((" (x "my app"."T") RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE "user"() LANGUAGE sql AS 'SELECT 1';
CREATE TABLE "select" (n int GENERATED ALWAYS AS IDENTITY (START 5));
REVOKE ALL ON FUNCTION "my app"."f ((" FROM public;
GRANT USAGE ON TYPE "my app"."T" TO public;
CREATE TABLE parts (n int) PARTITION BY LIST (n);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE MATERIALIZED VIEW seen AS SELECT n FROM parts WITH NO DATA;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
"""


def differences(
    site: Site, groups: Groups, only: Collection[Touched] | None = None, change: str = ""
) -> list[str]:
    """What isn't as in `groups`, as the database sees it after the change, which is rolled back."""
    objects = {touched: digests_of(found) for touched, found in groups.items()}
    touches = dict.fromkeys(groups if only is None else only, "")
    step = StepTouches("migration:1.sql", 1, touches)
    rehearsal = Rehearsal(steps=(step,), objects=objects)
    names = rehearsed_names(rehearsal, single_transaction=False)
    wanted = json_literal(names[step.address, 1].as_json())
    check = schema_check(
        schema_reader(rehearsal, names, ""), f"{wanted}::jsonb", "none", "'version', '1', 'step', 1"
    )
    try:
        checked = f"DO {dollar_quote(f'DECLARE {check.declare} BEGIN {check.before} END')}"
        site.sql(f"BEGIN; {change}; {checked}; ROLLBACK")
    except SqlFailed as error:
        failure = parse_failure(error.message)
        assert failure is not None, error.message
        return schema_differences(failure.schema, objects)
    return []


def read_groups(site: Site) -> Groups:
    """What is live, by what can be touched."""
    catalog = read_catalog(site.api, site.project_id)
    [row] = site.sql(f"SELECT {SET_SEARCH_PATH} AS path")
    return group_by_touched({**catalog, **search_path_setting(str(row["path"] or ""))})


def finds_no_difference(site: Site, groups: Groups) -> None:
    assert differences(site, groups) == []


def test_the_database_and_a_rehearsal_compute_the_same(site):
    site.deploy_sql(SCHEMA + NAMES)
    site.sql("SET check_function_bodies = off")
    groups, catalog = read_groups(site), read_catalog(site.api, site.project_id)
    found = {str(one) for one in groups}
    assert {"relation app.loans", "routine twice", "type mood", "relation numbers"} <= found
    assert {'relation "my app"."order ""x"" (é"', 'routine "my app"."f (("', "routine total"} <= found
    everything = {item for item in catalog if item.kind not in ("comment", "extension", "statistics")}
    assert {item for objects in groups.values() for item in objects} - {
        *search_path_setting("")
    } == everything
    finds_no_difference(site, groups)
    for touched in groups:
        assert differences(site, groups, [touched]) == [], touched


NOT_TOUCHED = (
    *("table votes", "schema other"),  # new names that no step touches
    *("comment", "extension", "statistics"),
)
VERBS = {"+": "added", "-": "dropped", "~": "changed"}


def test_every_kind_of_change_is_named(site):
    site.deploy_sql(SCHEMA)
    groups = read_groups(site)
    owner = str(site.sql("SELECT current_user AS name")[0]["name"])
    for name, (change, shown) in HAND_MADE.items():
        drift = shown.replace(" OWNER ", f" {owner} ")
        found = set(differences(site, groups, change=change))
        # Drift doesn't report a column's sequence that is dropped with its table.
        if "sequence" not in drift:
            found = {
                text for text in found if not (text.startswith("sequence ") and text.endswith(" was dropped"))
            }
        expected = [
            (VERBS[line[0]], line[2:]) for line in drift.split("; ") if not line[2:].startswith(NOT_TOUCHED)
        ]
        assert len(found) == len(expected), (name, found)
        for verb, line in expected:
            named = [text for text in found if line.startswith(text.removesuffix(f" was {verb}"))]
            assert len(named) == 1, (name, line, found)
