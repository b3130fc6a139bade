"""What differs between two states of a database: one row of the table, one way to differ."""

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
    "a new table is told with its columns and constraints, and its indexes beside it": (
        {},
        TABLE,
        [
            "add table items: None → (price integer NOT NULL, name text, PRIMARY KEY (name))",
            "add index items_name on items: None → USING btree (name)",
        ],
    ),
    "what PostgreSQL says of a new table stands behind": (
        {},
        {ITEMS: "PARTITION BY RANGE (price)", PRICE: "integer"},
        ["add table items: None → (price integer) PARTITION BY RANGE (price)"],
    ),
    "a table that is gone takes all of it along": (
        {**TABLE, TRIGGER: "x"},
        {},
        ["drop table items:  → None"],
    ),
    "a new column": (
        {ITEMS: "", NAME: "text"},
        {ITEMS: "", NAME: "text", PRICE: "integer"},
        ["add column items.price: None → integer"],
    ),
    "a column of another type": (
        TABLE,
        {**TABLE, PRICE: "bigint NOT NULL"},
        ["change column items.price: integer NOT NULL → bigint NOT NULL"],
    ),
    "a column that is gone": (
        TABLE,
        {part: text for part, text in TABLE.items() if part != PRICE},
        ["drop column items.price: integer NOT NULL → None"],
    ),
    "a constraint and an index of a table that stays": (
        {ITEMS: "", NAME: "text"},
        {ITEMS: "", NAME: "text", KEY: "PRIMARY KEY (name)", INDEX: "USING btree (name)"},
        [
            "add constraint items_pkey on items: None → PRIMARY KEY (name)",
            "add index items_name on items: None → USING btree (name)",
        ],
    ),
    "row level security is a change of the table": (
        TABLE,
        {**TABLE, ITEMS: "ROW LEVEL SECURITY"},
        ["change table items:  → ROW LEVEL SECURITY"],
    ),
    "a table of the same name in another place of the order": (
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
    "a view becomes a table": (
        {SchemaObject("view", "items"): "SELECT 1"},
        {ITEMS: "", NAME: "text"},
        ["add table items: None → (name text)", "drop view items: SELECT 1 → None"],
    ),
    "a trigger of a new table is told": (
        {},
        {ITEMS: "", TRIGGER: "BEFORE INSERT"},
        ["add table items: None → ()", "add trigger touch on items: None → BEFORE INSERT"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_differs_is_told(name: str) -> None:
    before, after, expected = CASES[name]
    told = [
        f"{change.action} {change.object}: {change.before} → {change.after}"
        for change in schema_changes(before, after)
    ]
    assert told == expected


PARTS = st.sampled_from([ITEMS, PRICE, NAME, KEY, INDEX, TRIGGER, VIEW, FUNCTION, ENUM, SCHEMA])
CATALOGS = st.dictionaries(PARTS, st.sampled_from(["", "a", "b"])).map(
    lambda found: {part: text for part, text in found.items() if not part.parent or ITEMS in found}
)


@given(CATALOGS, CATALOGS)
def test_the_way_back_is_the_other_way_round(before, after) -> None:
    """What is told only once depends on the way; what is changed doesn't, nor whether anything differs at all."""

    def changed(changes: tuple[SchemaChange, ...]) -> set[tuple[SchemaObject, str | None, str | None]]:
        return {(each.object, each.before, each.after) for each in changes if each.action == "change"}

    there, back = schema_changes(before, after), schema_changes(after, before)
    assert changed(there) == {(part, new, old) for part, old, new in changed(back)}
    assert bool(there) == bool(back) == (dict(before) != dict(after))
    assert schema_changes(before, before) == ()
