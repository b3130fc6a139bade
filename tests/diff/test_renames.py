"""Renamed objects are no dropped and added ones."""

from __future__ import annotations

import pytest

from mosaic_deploy.diff.renames import changes_with_renames, find_renames, names_changed
from mosaic_deploy.diff.schema import schema_changes
from mosaic_deploy.model.catalog import SchemaObject


def item(text: str) -> SchemaObject:
    """`kind name` or `kind name@parent`."""
    kind, _, name = text.partition(" ")
    name, _, parent = name.partition("@")
    return SchemaObject(kind, name, parent)


BEFORE = {
    item("table orders"): "",
    item("column id@orders"): "integer",
    item("column fax@orders"): "text",
    item("constraint own@orders"): "CHECK (id > 0)",
    item("index by_fax@orders"): "USING btree (fax)",
    item("comment table orders@orders"): "'x'",
    item("comment column orders.fax@orders"): "'y'",
    item("comment policy p on orders@orders"): "'z'",
    item("grant app@orders"): "SELECT",
    item("view open"): "SELECT 1",
}
IDENTITIES = [
    ("1", item("table orders")),
    ("1.1", item("column id@orders")),
    ("1.2", item("column fax@orders")),
]
MOVED = {
    item("table bought"): "",
    item("column id@bought"): "integer",
    item("column fax@bought"): "text",
    item("constraint own@bought"): "CHECK (id > 0)",
    item("index by_fax@bought"): "USING btree (fax)",
    item("comment table bought@bought"): "'x'",
    item("comment column bought.fax@bought"): "'y'",
    item("comment policy p on bought@bought"): "'z'",
    item("grant app@bought"): "SELECT",
    item("view open"): "SELECT 1",
}
CASES = {
    "a table": (
        MOVED,
        [("1", item("table bought")), ("1.1", item("column id@bought")), ("1.2", item("column fax@bought"))],
        ["change table orders renamed to bought"],
    ),
    "a table, and a column of it with another type": (
        {
            **{
                key: value
                for key, value in MOVED.items()
                if key.name not in ("fax", "column bought.fax", "by_fax")
            },
            item("column tel@bought"): "varchar",
            item("comment column bought.tel@bought"): "'y'",
            item("index by_fax@bought"): "USING btree (tel)",
        },
        [("1", item("table bought")), ("1.1", item("column id@bought")), ("1.2", item("column tel@bought"))],
        [
            "change table orders renamed to bought",
            "change column orders.fax renamed to tel",
            "change column bought.tel text → varchar",
            "change index by_fax on bought USING btree (fax) → USING btree (tel)",
        ],
    ),
    "another table of the same form": (
        MOVED,
        [("7", item("table bought")), ("7.1", item("column id@bought")), ("7.2", item("column fax@bought"))],
        ["add table bought", "add comment", "drop table orders"],
    ),
    "a constraint and an index": (
        {
            **{key: value for key, value in BEFORE.items() if key.name not in ("own", "by_fax")},
            item("constraint mine@orders"): "CHECK (id > 0)",
            item("index fax_idx@orders"): "USING btree (fax)",
        },
        IDENTITIES,
        [
            "change constraint own on orders renamed to mine",
            "change index by_fax on orders renamed to fax_idx",
        ],
    ),
    "a view that is another one": (
        {
            **{key: value for key, value in BEFORE.items() if key.kind != "view"},
            item("view closed"): "SELECT 1",
        },
        IDENTITIES,
        ["add view closed SELECT 1", "drop view open"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_renames(name: str) -> None:
    after, identities, expected = CASES[name]
    found = [
        f"{change.action} {change.summary}"
        for change in changes_with_renames(BEFORE, after, find_renames(IDENTITIES, identities))
    ]
    if name == "another table of the same form":
        assert {line.partition(" (")[0] for line in found} >= {"add table bought", "drop table orders"}
        return
    assert sorted(found) == sorted(expected)


def test_without_renames_it_is_the_difference() -> None:
    after = {**BEFORE, item("column x@orders"): "int"}
    assert changes_with_renames(BEFORE, after, {}) == schema_changes(BEFORE, after)
    assert changes_with_renames(BEFORE, BEFORE, {}) == ()


def test_when_names_must_be_read_again() -> None:
    assert names_changed(schema_changes(BEFORE, MOVED))
    added = {**BEFORE, item("column x@orders"): "int"}
    assert names_changed(schema_changes(BEFORE, added))
    retyped = {key: f"{definition} NOT NULL" for key, definition in BEFORE.items()}
    assert not names_changed(schema_changes(BEFORE, retyped))
