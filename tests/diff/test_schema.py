"""Differences between two schemas, one case per kind of difference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.diff.schema import schema_changes
from mosaic_deploy.model.catalog import SchemaChange, SchemaObject

ITEMS = SchemaObject("table", "items")
PRICE, NAME = SchemaObject("column", "price", "items"), SchemaObject("column", "name", "items")
KEY = SchemaObject("constraint", "items_pkey", "items")
INDEX = SchemaObject("index", "items_name", "items")
TRIGGER = SchemaObject("trigger", "touch", "items")
VIEW, FUNCTION = SchemaObject("view", "cheap"), SchemaObject("function", "total(integer)")
ENUM, SCHEMA = SchemaObject("type", "size"), SchemaObject("schema", "shop")

TABLE = {
    ITEMS: "",
    PRICE: "integer NOT NULL",
    NAME: "text",
    KEY: "PRIMARY KEY (name)",
    INDEX: "USING btree (name)",
}

CASES = {
    "nothing": (TABLE, TABLE, []),
    "new table includes its columns and constraints, indexes are separate": (
        {},
        TABLE,
        [
            "add table items: None → (price integer NOT NULL, name text, PRIMARY KEY (name))",
            "add index items_name on items: None → USING btree (name)",
        ],
    ),
    "new table's own definition comes after its columns": (
        {},
        {ITEMS: "PARTITION BY RANGE (price)", PRICE: "integer"},
        ["add table items: None → (price integer) PARTITION BY RANGE (price)"],
    ),
    "dropped table includes its parts": (
        {**TABLE, TRIGGER: "x"},
        {},
        ["drop table items:  → None"],
    ),
    "new column": (
        {ITEMS: "", NAME: "text"},
        {ITEMS: "", NAME: "text", PRICE: "integer"},
        ["add column items.price: None → integer"],
    ),
    "column type change": (
        TABLE,
        {**TABLE, PRICE: "bigint NOT NULL"},
        ["change column items.price: integer NOT NULL → bigint NOT NULL"],
    ),
    "dropped column": (
        TABLE,
        {part: text for part, text in TABLE.items() if part != PRICE},
        ["drop column items.price: integer NOT NULL → None"],
    ),
    "new constraint and index of an existing table": (
        {ITEMS: "", NAME: "text"},
        {ITEMS: "", NAME: "text", KEY: "PRIMARY KEY (name)", INDEX: "USING btree (name)"},
        [
            "add constraint items_pkey on items: None → PRIMARY KEY (name)",
            "add index items_name on items: None → USING btree (name)",
        ],
    ),
    "row-level security is a change of the table": (
        TABLE,
        {**TABLE, ITEMS: "ROW LEVEL SECURITY"},
        ["change table items:  → ROW LEVEL SECURITY"],
    ),
    "order of kinds": (
        {VIEW: "SELECT 1", FUNCTION: "old", ENUM: "ENUM ('s')"},
        {VIEW: "SELECT 2", FUNCTION: "new", ENUM: "ENUM ('s', 'm')", SCHEMA: "", ITEMS: ""},
        [
            "add schema shop: None → ",
            "change type size: ENUM ('s') → ENUM ('s', 'm')",
            "add table items: None → ()",
            "change view cheap: SELECT 1 → SELECT 2",
            "change function total(integer): old → new",
        ],
    ),
    "view becomes a table": (
        {SchemaObject("view", "items"): "SELECT 1"},
        {ITEMS: "", NAME: "text"},
        ["add table items: None → (name text)", "drop view items: SELECT 1 → None"],
    ),
    "trigger of a new table is separate": (
        {},
        {ITEMS: "", TRIGGER: "BEFORE INSERT"},
        ["add table items: None → ()", "add trigger touch on items: None → BEFORE INSERT"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_schema_changes(name: str) -> None:
    before, after, expected = CASES[name]
    found = [
        f"{change.action} {change.object}: {change.before} → {change.after}"
        for change in schema_changes(before, after)
    ]
    assert found == expected


PARTS = st.sampled_from([ITEMS, PRICE, NAME, KEY, INDEX, TRIGGER, VIEW, FUNCTION, ENUM, SCHEMA])
CATALOGS = st.dictionaries(PARTS, st.sampled_from(["", "a", "b"])).map(
    lambda found: {part: text for part, text in found.items() if not part.parent or ITEMS in found}
)


@given(CATALOGS, CATALOGS)
def test_reverse_diff_mirrors_changes(before, after) -> None:
    """Changed objects, and whether anything differs, don't depend on the direction."""

    def changed(changes: tuple[SchemaChange, ...]) -> set[tuple[SchemaObject, str | None, str | None]]:
        return {(each.object, each.before, each.after) for each in changes if each.action == "change"}

    there, back = schema_changes(before, after), schema_changes(after, before)
    assert changed(there) == {(part, new, old) for part, old, new in changed(back)}
    assert bool(there) == bool(back) == (dict(before) != dict(after))
    assert schema_changes(before, before) == ()
