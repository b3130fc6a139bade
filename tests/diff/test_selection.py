"""`--only` and `--except`: the selected and the left-out changes add up to the whole plan."""

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


@pytest.mark.parametrize(
    ("only", "excluded", "expected"),
    [
        ([], [], True),
        (["migrations", "static:a.html"], [], True),
        (["migrations"], [], False),
        ([], ["static", "storage"], False),
        (["storage", "auth"], ["storage:a/"], True),
        (["storage", "auth"], ["storage"], False),
    ],
)
def test_whether_it_takes_files(only: list[str], excluded: list[str], expected: bool) -> None:
    selection = Selection(*(tuple(map(parse_selector, each)) for each in (only, excluded)))
    assert selection.takes_files is expected


def chosen(desired: Snapshot, live: Snapshot, selection: Selection) -> tuple[Plan, Plan]:
    """The whole plan and its selected part; refused selections are skipped."""
    whole = make_plan(desired, live, PRUNE)
    try:
        return whole, select(whole, selection, known_names(desired, live))
    except SelectionInvalid:
        assume(False)
        raise


@given(desired_snapshots(), live_snapshots(), SELECTIONS)
def test_selected_and_left_out_add_up_to_the_plan(
    desired: Snapshot, live: Snapshot, selection: Selection
) -> None:
    whole, part = chosen(desired, live, selection)
    taken = [change.address for change in part.changes]
    assert sorted([*taken, *part.left_out]) == sorted(change.address for change in whole.changes)
    places = {change.address: place for place, change in enumerate(whole.changes)}
    for addresses in (taken, list(part.left_out)):
        assert [places[address] for address in addresses] == sorted(places[address] for address in addresses)


@given(desired_snapshots(), live_snapshots(), SELECTIONS)
def test_next_plan_is_what_was_left_out(desired: Snapshot, live: Snapshot, selection: Selection) -> None:
    whole, part = chosen(desired, live, selection)
    after = apply(part, live, desired) if part.changes else live
    rest = make_plan(desired, after, PRUNE)
    assert [change.address for change in rest.changes] == list(part.left_out)
    expected = {change.address: change for change in whole.changes}
    assert all(change == expected[change.address] for change in rest.changes)


@given(desired_snapshots(), live_snapshots(), SELECTIONS)
def test_only_and_except_decide_each_change(desired: Snapshot, live: Snapshot, selection: Selection) -> None:
    whole, part = chosen(desired, live, selection)
    taken = {change.address for change in part.changes}
    for change in whole.changes:
        if not isinstance(change, CreateProject):
            kind, _, name = change.address.partition(":")
            assert (change.address in taken) is selection.matches(kind, name)


@given(desired_snapshots(), live_snapshots(), SELECTIONS)
def test_selected_migrations_are_the_first_pending_ones(
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


def test_except_wins_over_only() -> None:
    plan = part("static", excluded=("static:about/",))
    assert {c.address for c in plan.changes} == {f"static:{p}" for p in FILES if not p.startswith("about/")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "statik",
            r"unknown resource 'statik' \(did you mean 'static'\?\); use one of: project, extensions, mig",
        ),
        ("statik:a", "unknown resource 'statik'"),
        ("", "unknown resource ''; use one of:"),
        ("public/index.html", "unknown resource"),
        ("static:", "nothing after the colon in 'static:'; use 'static' for all of it"),
        ("static:!", "isn't a valid gitignore pattern"),
    ],
)
def test_invalid_selectors(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_selector(text)


def test_only_that_matches_nothing_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SelectionInvalid) as caught:
        part("static:abuot.html", "storage", "seed:nothing*")
    assert caught.value.message == (
        "--only matches nothing: static:abuot.html (did you mean static:about.html?), seed:nothing*"
    )
    assert caught.value.problems == ()  # an address is no file


def test_only_matches_a_name_that_exists_only_live() -> None:
    live = replace(LIVE, static={"old.css": Object("old.css", "a" * 64, 1)})
    plan = part("static:old.css", live=live)
    assert [(c.address, str(c.action)) for c in plan.changes] == [("static:old.css", "destroy")]
    assert "static:old.css" in part("migrations", live=live).left_out, "deletions are selected too"


def test_except_that_matches_nothing_is_noted() -> None:
    plan = part(excluded=("static:darfts/*",))
    assert plan.left_out == ()
    assert not plan.partial
    assert [note.code for note in plan.notes] == ["except_idle"]


@pytest.mark.parametrize(
    ("only", "excluded"),
    [(("migration:0002*",), ()), (("migration:0001*", "migration:0003*"), ()), ((), ("migration:0001*",))],
)
def test_migrations_cannot_be_skipped(only: tuple[str, ...], excluded: tuple[str, ...]) -> None:
    with pytest.raises(SelectionInvalid) as caught:
        part(*only, excluded=excluded)
    assert "which is pending but left out" in caught.value.problems[0].message


def test_applied_migrations_are_not_skipped_ones() -> None:
    live = replace(LIVE, migrations=(replace(MIGRATIONS[0], steps_done=1),))
    assert [c.address for c in part("migration:0002*", live=live).changes] == ["migration:0002_x.sql"]


def test_single_transaction_refuses_a_part_of_the_migrations() -> None:
    assert len(part("migrations", single_transaction=True).changes) == 3
    assert not any(isinstance(c, ApplyMigration) for c in part("static", single_transaction=True).changes)
    with pytest.raises(SelectionInvalid, match="all or none"):
        part("migration:0001*", single_transaction=True)


def test_new_project_is_created_with_any_selection() -> None:
    live = Snapshot(Project("", "app", status="absent"))
    assert [c.address for c in part("auth", live=live).changes] == []
    assert [c.address for c in part("seeds", live=live).changes] == ["project:app", "seed:seeds/1.sql"]
    assert [c.address for c in part("project", live=live).changes] == ["project:app"]
    assert part("seeds", excluded=("project",), live=live).changes[0] == CreateProject("app")


def test_notes_about_left_out_changes_are_left_out() -> None:
    notes = (
        Note("a", "all"),
        Note("s", "site", addresses=("static:x",)),
        Note("m", "m", addresses=("migration:y",)),
    )
    whole = replace(make_plan(DESIRED, LIVE, PlanRules()), notes=notes)
    names = known_names(DESIRED, LIVE)
    found = select(whole, Selection((parse_selector("static"),)), names)
    assert [note.code for note in found.notes] == ["a", "s"]


def test_no_selection_keeps_the_plan() -> None:
    whole = make_plan(DESIRED, LIVE, PlanRules())
    assert select(whole, ALL, known_names(DESIRED, LIVE)) is whole
