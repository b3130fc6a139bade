"""What `policy.unmanaged` names, and how policies with it compare."""

from __future__ import annotations

import pytest

from mosaic_deploy.diff.policies import loosened, record_with, recorded_policy, stricter_policy
from mosaic_deploy.diff.schema import Unmanaged
from mosaic_deploy.diff.schema_drift import of_managed_objects, schema_drift
from mosaic_deploy.model.catalog import SchemaComparison, SchemaObject, SchemaState
from mosaic_deploy.model.manifest import PolicySpec

PATTERNS = Unmanaged(("cache_*", "jobs.*", "app.tmp_*", "Odd.Name", "weird"))
INCLUDED = [
    ("table", "cache_a", "", ""),
    ("column", "id", "cache_a", "integer"),
    ("index", "some_index", "cache_a", "USING btree (id)"),
    ("sequence", "numbers", "", "integer OWNED BY cache_a.id"),
    ("sequence", "cache_numbers", "", "integer"),
    ("grant", "public (id)", "cache_a", "SELECT"),
    ("grant", "public", "cache_reset(n integer)", "none"),
    ("grant", "public", "schema jobs", "USAGE"),
    ("comment", "table cache_a", "cache_a", "'x'"),
    ("comment", "function cache_reset(integer)", "", "'x'"),
    ("comment", "schema jobs", "", "'x'"),
    ("function", "cache_reset(n integer)", "", "…"),
    ("type", "cache_mood", "", "ENUM"),
    ("schema", "jobs", "", ""),
    ("table", "jobs.runs", "", ""),
    ("view", 'jobs."Odd one"', "", ""),
    ("table", "app.tmp_1", "", ""),
    ("table", '"Odd"."Name"', "", ""),
    ("table", "weird", "", ""),
]
LEFT = [
    ("table", "books", "", ""),
    ("table", "app.cache_a", "", ""),
    ("table", '"Cache_a"', "", ""),
    ("column", "cache_a", "books", "integer"),
    ("constraint", "cache_fk", "books", "FOREIGN KEY (id) REFERENCES cache_a(id)"),
    ("sequence", "numbers", "", "integer OWNED BY books.id"),
    ("schema", "app", "", ""),
    ("extension", "cache_a", "", "1.0"),
    ("event trigger", "cache_a", "", ""),
    ("default privileges", "on tables of cache_a for public", "", "SELECT"),
    ("grant", "public", "schema app", "USAGE"),
    ("grant", "cache_a", "books", "SELECT"),
    ("comment", "extension cache_a", "", "'x'"),
    ("table", "weird_too", "", ""),
]


@pytest.mark.parametrize("included", [True, False])
def test_objects_and_what_belongs_to_them(included):
    for kind, name, parent, definition in INCLUDED if included else LEFT:
        item = SchemaObject(kind, name, parent)
        assert PATTERNS.includes(item, definition) == included, item


def test_no_patterns_name_nothing():
    catalog = {SchemaObject("table", "books"): ""}
    assert Unmanaged().without(catalog) == catalog
    assert Unmanaged(("*", "*.*")).without({**catalog, SchemaObject("schema", "app"): ""}) == {}


def test_drift_of_unmanaged_objects_only_is_none():
    found = SchemaComparison(SchemaState.DRIFTED, {}, {SchemaObject("table", "cache_a"): ""})
    left = of_managed_objects(found, PATTERNS)
    assert (left.state, left.after) == (SchemaState.UNCHANGED, {})
    both = of_managed_objects(
        SchemaComparison(SchemaState.DRIFTED, {SchemaObject("table", "books"): ""}, found.after), PATTERNS
    )
    drift = schema_drift(both)
    assert drift is not None
    assert [each.summary for each in drift.changes] == ["table books"]
    cut = SchemaComparison(SchemaState.DRIFTED, {}, found.after, truncated=True)
    assert of_managed_objects(cut, PATTERNS).state is SchemaState.DRIFTED, "there is more that isn't known"


LOOSENED = {
    ((), ("cache_*",)): "unmanaged: also cache_*",
    (("cache_*",), ("cache_a", "public.cache_b*")): "",
    (("cache_a",), ("cache_*",)): "unmanaged: also cache_*",
    (("jobs.*",), ("jobs.a", "jobs")): "unmanaged: also jobs",
    (("cache_*",), ()): "",
}


def test_more_patterns_loosen_a_policy():
    for (before, after), expected in LOOSENED.items():
        assert loosened(PolicySpec(unmanaged=before), PolicySpec(unmanaged=after)) == expected, (
            before,
            after,
        )


def test_the_stricter_policy_has_what_both_name():
    one, other = PolicySpec(unmanaged=("cache_*", "jobs.*")), PolicySpec(unmanaged=("cache_*", "x"))
    assert stricter_policy(one, other).unmanaged == ("cache_*",)
    assert stricter_policy(one, None).unmanaged == ()


def test_patterns_are_recorded():
    policy = PolicySpec(unmanaged=("cache_*",))
    record = record_with({}, "mosaic.yaml", policy)
    assert recorded_policy(record, "mosaic.yaml") == policy
    [without] = record_with({}, "mosaic.yaml", PolicySpec()).values()
    assert "unmanaged" not in without, "as recorded before there were any"
