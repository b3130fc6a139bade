"""A part of a plan: what is taken and what is left out make the whole, and what is left is all that is left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mosaic_deploy.diff.plan import PlanRules, make_plan
from mosaic_deploy.diff.selection import ALL, Selection, known_names, parse_selector, select
from mosaic_deploy.errors import SelectionInvalid
from mosaic_deploy.model.change import ApplyMigration, CreateProject
from mosaic_deploy.model.plan import Note, Plan
from mosaic_deploy.model.snapshot import Migration, Object, Project, Snapshot
from tests.diff.test_plan_laws import PRUNE, apply, desired_snapshots, live_snapshots

TEXTS = [
    "project", "extensions", "migrations", "seeds", "static", "storage", "auth", "storage",
    "migration:0001*", "migration:000[12]_x.sql", "static:*.html", "static:sub/", "static:index.html",
    "storage:/*.css", "storage:**/index.html", "extension:vector", "auth:magic_link",
]  # fmt: skip
SELECTORS = st.lists(st.sampled_from(TEXTS).map(parse_selector), max_size=3).map(tuple)
SELECTIONS = st.builds(Selection, SELECTORS, SELECTORS)


def chosen(desired: Snapshot, live: Snapshot, selection: Selection) -> tuple[Plan, Plan]:
    """The whole plan, and the part of it that is selected. Examples that are refused say nothing."""
    whole = make_plan(desired, live, PRUNE)
    try:
        return whole, select(whole, selection, known_names(desired, live))
    except SelectionInvalid:
        assume(False)
        raise


@given(desired_snapshots(), live_snapshots(), SELECTIONS)
def test_what_is_taken_and_what_is_left_make_the_whole(
    desired: Snapshot, live: Snapshot, selection: Selection
) -> None:
    whole, part = chosen(desired, live, selection)
    taken = [change.address for change in part.changes]
    assert sorted([*taken, *part.left_out]) == sorted(change.address for change in whole.changes)
    places = {change.address: place for place, change in enumerate(whole.changes)}
    for addresses in (taken, list(part.left_out)):
        assert [places[address] for address in addresses] == sorted(places[address] for address in addresses)


@given(desired_snapshots(), live_snapshots(), SELECTIONS)
def test_a_plan_after_a_part_was_applied_is_what_was_left_out(
    desired: Snapshot, live: Snapshot, selection: Selection
) -> None:
    whole, part = chosen(desired, live, selection)
    after = apply(part, live, desired) if part.changes else live
    rest = make_plan(desired, after, PRUNE)
    assert [change.address for change in rest.changes] == list(part.left_out)
    expected = {change.address: change for change in whole.changes}
    assert all(change == expected[change.address] for change in rest.changes)


@given(desired_snapshots(), live_snapshots(), SELECTIONS)
def test_only_and_except_say_which(desired: Snapshot, live: Snapshot, selection: Selection) -> None:
    whole, part = chosen(desired, live, selection)
    taken = {change.address for change in part.changes}
    for change in whole.changes:
        if not isinstance(change, CreateProject):
            kind, _, name = change.address.partition(":")
            assert (change.address in taken) is selection.matches(kind, name)


@given(desired_snapshots(), live_snapshots(), SELECTIONS)
def test_migrations_are_taken_from_the_first_on(
    desired: Snapshot, live: Snapshot, selection: Selection
) -> None:
    whole, part = chosen(desired, live, selection)
    pending = [change for change in whole.changes if isinstance(change, ApplyMigration)]
    taken = [change for change in part.changes if isinstance(change, ApplyMigration)]
    assert taken == pending[: len(taken)]


PROJECT = Project("p", "app")
MIGRATIONS = tuple(Migration(str(n), f"000{n}_x.sql", f"c{n}", f"s{n}") for n in (1, 2, 3))
FILES = ("index.html", "about/a.html", "about/deep/b.html", "about.html", "a[1].css", "it's.css", "#x.css")
DESIRED = Snapshot(
    PROJECT,
    extensions=frozenset({"vector"}),
    migrations=MIGRATIONS,
    static={path: Object(path, "a" * 64, 1) for path in FILES},
    storage={"images/a.png": Object("images/a.png", "b" * 64, 1)},
    seeds={"seeds/1.sql": Object("seeds/1.sql", "c" * 64, 1)},
)
LIVE = Snapshot(PROJECT)


def part(
    *only: str, excluded: tuple[str, ...] = (), live: Snapshot = LIVE, single_transaction: bool = False
) -> Plan:
    whole = make_plan(DESIRED, live, PlanRules(prune_static=True))
    selection = Selection(*(tuple(map(parse_selector, texts)) for texts in (only, excluded)))
    return select(whole, selection, known_names(DESIRED, live), single_transaction=single_transaction)


@pytest.mark.parametrize(
    ("only", "taken"),
    [
        ("extensions", {"extension:vector"}),
        ("extension:vector", {"extension:vector"}),
        ("seeds", {"seed:seeds/1.sql"}),
        ("seeds:seeds/*.sql", {"seed:seeds/1.sql"}),
        ("storage", {"storage:images/a.png"}),
        ("storage:images/*", {"storage:images/a.png"}),
        ("storage:images/a.png", {"storage:images/a.png"}),
        ("static:about/*.html", {"static:about/a.html"}),
        ("static:about/**", {"static:about/a.html", "static:about/deep/b.html"}),
        ("static:about/", {"static:about/a.html", "static:about/deep/b.html"}),
        ("static:/*.html", {"static:index.html", "static:about.html"}),
        ("static:b.html", {"static:about/deep/b.html"}),
        ("static:a[1].css", {"static:a[1].css"}),
        ("static:it's.css", {"static:it's.css"}),
        ("static:#x.css", {"static:#x.css"}),
        ("migrations:0001*", {"migration:0001_x.sql"}),
        ("auth", set()),
    ],
)
def test_selectors(only: str, taken: set[str]) -> None:
    plan = part(only)
    assert {change.address for change in plan.changes} == taken
    assert plan.only == (only,)
    assert plan.partial
    left = part(excluded=(only,)) if "migration" not in only else None
    assert left is None or taken == set(left.left_out)


def test_except_is_stronger() -> None:
    plan = part("static", excluded=("static:about/",))
    assert {c.address for c in plan.changes} == {f"static:{p}" for p in FILES if not p.startswith("about/")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("statik", r"'statik' is no resource; did you mean 'static'\?; known: project, extensions, mig"),
        ("statik:a", "'statik' is no resource"),
        ("", "'' is no resource; known:"),
        ("public/index.html", "is no resource"),
        ("static:", "names nothing after the colon; 'static' alone means all of it"),
        ("static:!", "no pattern"),
    ],
)
def test_what_is_no_selector(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_selector(text)


def test_a_pattern_that_means_nothing_is_refused_and_a_near_name_shown() -> None:
    with pytest.raises(SelectionInvalid) as caught:
        part("static:abuot.html", "storage", "seed:nothing*")
    assert caught.value.message == (
        "--only names what is neither in the folder nor live: "
        "static:abuot.html (did you mean static:about.html?), seed:nothing*"
    )
    assert caught.value.problems == ()  # an address is no file


def test_a_name_that_only_live_has_means_something() -> None:
    live = replace(LIVE, static={"old.css": Object("old.css", "a" * 64, 1)})
    plan = part("static:old.css", live=live)
    assert [(c.address, str(c.action)) for c in plan.changes] == [("static:old.css", "destroy")]
    assert "static:old.css" in part("migrations", live=live).left_out, "deletions obey, too"


def test_leaving_out_nothing_is_noted() -> None:
    plan = part(excluded=("static:darfts/*",))
    assert plan.left_out == ()
    assert not plan.partial
    assert [note.code for note in plan.notes] == ["except_idle"]


@pytest.mark.parametrize(
    ("only", "excluded"),
    [(("migration:0002*",), ()), (("migration:0001*", "migration:0003*"), ()), ((), ("migration:0001*",))],
)
def test_no_migration_is_skipped(only: tuple[str, ...], excluded: tuple[str, ...]) -> None:
    with pytest.raises(SelectionInvalid) as caught:
        part(*only, excluded=excluded)
    assert "which is pending too and left out" in caught.value.problems[0].message


def test_applied_migrations_are_none_that_could_be_skipped() -> None:
    live = replace(LIVE, migrations=(replace(MIGRATIONS[0], units_done=1),))
    assert [c.address for c in part("migration:0002*", live=live).changes] == ["migration:0002_x.sql"]


def test_all_or_none_stays_all_or_none() -> None:
    assert len(part("migrations", single_transaction=True).changes) == 3
    assert not any(isinstance(c, ApplyMigration) for c in part("static", single_transaction=True).changes)
    with pytest.raises(SelectionInvalid, match="all or none"):
        part("migration:0001*", single_transaction=True)


def test_a_new_project_comes_with_whatever_is_taken() -> None:
    live = Snapshot(Project("", "app", status="absent"))
    assert [c.address for c in part("auth", live=live).changes] == []
    assert [c.address for c in part("seeds", live=live).changes] == ["project:app", "seed:seeds/1.sql"]
    assert [c.address for c in part("project", live=live).changes] == ["project:app"]
    assert part("seeds", excluded=("project",), live=live).changes[0] == CreateProject("app")


def test_notes_about_what_is_left_out_are_left_out() -> None:
    notes = (
        Note("a", "all"),
        Note("s", "site", addresses=("static:x",)),
        Note("m", "m", addresses=("migration:y",)),
    )
    whole = replace(make_plan(DESIRED, LIVE, PlanRules()), notes=notes)
    names = known_names(DESIRED, LIVE)
    found = select(whole, Selection((parse_selector("static"),)), names)
    assert [note.code for note in found.notes] == ["a", "s"]


def test_without_a_selection_a_plan_stays_as_it_is() -> None:
    whole = make_plan(DESIRED, LIVE, PlanRules())
    assert select(whole, ALL, known_names(DESIRED, LIVE)) is whole
