"""The picture of tables and foreign keys: nothing overlaps, whatever refers to whatever."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.platform.dashboard.schema_picture import Box, Column, Reference, TableKey, draw

KEYS = [("public", f"t{number}") for number in range(9)]


def _columns(count: int) -> list[Column]:
    return [Column(f"c{number}", "integer", "") for number in range(count)]


@given(
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 60)),
    st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=20),
)
def test_every_table_is_there_once_and_boxes_dont_overlap(tables, pairs) -> None:
    references = [Reference(source, "c0", target, "c1") for source, target in pairs]
    picture = draw({key: _columns(count) for key, count in tables.items()}, references)
    assert sorted(box.key for box in picture.boxes) == sorted(tables)
    assert len(picture.lines) == sum(source in tables and target in tables for source, target in pairs)
    for box in picture.boxes:
        assert 0 <= box.x <= box.x + box.width <= picture.width
        assert 0 <= box.y <= box.y + box.height <= picture.height
    for one, other in combinations(picture.boxes, 2):
        assert _apart(one, other), (one, other)


def _apart(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    return beside or one.y + one.height <= other.y or other.y + other.height <= one.y


def _place(tables: list[TableKey], pairs: list[tuple[TableKey, TableKey]]) -> dict[str, int]:
    picture = draw(
        {key: _columns(2) for key in tables},
        [Reference(source, "c1", target, "c0") for source, target in pairs],
    )
    return {box.key[1]: box.x for box in picture.boxes}


def test_referenced_tables_are_to_the_left() -> None:
    a, b, c, d = KEYS[:4]
    x = _place([a, b, c, d], [(a, b), (b, c), (a, c), (a, a)])
    assert x["t2"] < x["t1"] < x["t0"]
    assert x["t3"] == x["t2"]
    # A cycle is cut somewhere.
    assert len(set(_place([a, b], [(a, b), (b, a)]).values())) == 2


def test_a_chain_as_long_as_a_schema_has_tables() -> None:
    keys = [("public", f"t{number}") for number in range(3000)]
    picture = draw({key: [] for key in keys}, [Reference(a, "x", b, "y") for a, b in pairwise(keys)])
    assert len({box.x for box in picture.boxes}) == len(keys)
