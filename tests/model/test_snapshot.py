"""Digests match their documentation; fingerprints differ for any two different states."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.errors import Location
from mosaic_deploy.model.change import Action, ApplyMigration, DeleteStatic, PutStatic
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.model.plan import Counts, Note, Plan, change_facts
from mosaic_deploy.model.snapshot import (
    Migration,
    Object,
    ObjectState,
    Project,
    Snapshot,
    migrations_digest,
    objects_digest,
)

paths = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
objects = st.dictionaries(
    paths,
    st.tuples(st.sampled_from(["a" * 64, "b" * 64]), st.integers(0, 2**40), st.sampled_from(ObjectState)),
).map(lambda rows: {path: Object(path, *facts) for path, facts in rows.items()})


@given(objects)
def test_objects_digest_matches_its_documentation(found: dict[str, Object]) -> None:
    expected = hashlib.sha256()
    for path in sorted(found, key=lambda p: p.encode("utf-8")):
        o = found[path]
        expected.update("\n".join([o.path, o.sha256, str(o.size), o.state.value, ""]).encode("utf-8"))
    assert objects_digest(found) == expected.hexdigest()


def test_objects_digest_orders_by_bytes_and_not_by_utf16() -> None:
    found = {path: Object(path, "a", 1) for path in ("\U0001f389", "\uffee", "z")}
    text = "".join(f"{path}\na\n1\nlive\n" for path in ("z", "\uffee", "\U0001f389"))
    assert objects_digest(found) == hashlib.sha256(text.encode()).hexdigest()


def test_migrations_digest_matches_its_documentation() -> None:
    history = tuple(Migration(v, f"{v}_x.sql", f"c{v}", "s") for v in ("10", "9", "100"))
    text = "10\n10_x.sql\nc10\n100\n100_x.sql\nc100\n9\n9_x.sql\nc9\n"
    assert migrations_digest(history) == hashlib.sha256(text.encode()).hexdigest()


BASE = Snapshot(
    project=Project("pod-1", "app", "https://pod-1.example", "running"),
    extensions=frozenset({"vector"}),
    migrations=(Migration("1", "0001_a.sql", "c1", "s1", 2, 2),),
    static={"index.html": Object("index.html", "a" * 64, 1)},
    storage={"a.png": Object("a.png", "b" * 64, 2)},
    auth={"redirect_url": "/a"},
    serial=3,
)
[ONE] = BASE.migrations or ()
VARIANTS = {
    "project": replace(BASE, project=Project("pod-2", "app")),
    "extensions": replace(BASE, extensions=frozenset()),
    "no migrations managed": replace(BASE, migrations=None),
    "no migrations": replace(BASE, migrations=()),
    "migration's version": replace(BASE, migrations=(replace(ONE, version="2"),)),
    "migration's file": replace(BASE, migrations=(replace(ONE, file="0001_b.sql"),)),
    "migration's bytes": replace(BASE, migrations=(replace(ONE, checksum="c2"),)),
    "migration's progress": replace(BASE, migrations=(replace(ONE, steps_done=1),)),
    "static not managed": replace(BASE, static=None),
    "no static": replace(BASE, static={}),
    "static's bytes": replace(BASE, static={"index.html": Object("index.html", "c" * 64, 1)}),
    "static's name": replace(BASE, static={"other.html": Object("other.html", "a" * 64, 1)}),
    "static's state": replace(
        BASE, static={"index.html": Object("index.html", "a" * 64, 1, ObjectState.PENDING)}
    ),
    "storage not managed": replace(BASE, storage=None),
    "no storage": replace(BASE, storage={}),
    "storage's size": replace(BASE, storage={"a.png": Object("a.png", "b" * 64, 3)}),
    "kinds swapped": replace(BASE, static=BASE.storage, storage=BASE.static),
    "auth": replace(BASE, auth={"redirect_url": "/b"}),
    "no auth": replace(BASE, auth=None),
    "empty auth": replace(BASE, auth={}),
    "serial": replace(BASE, serial=4),
}


def test_any_difference_changes_the_fingerprint() -> None:
    seen = {"the base": BASE.fingerprint()}
    for name, variant in VARIANTS.items():
        assert variant.fingerprint() not in seen.values(), name
        seen[name] = variant.fingerprint()


def test_equal_snapshots_have_equal_fingerprints() -> None:
    again = replace(BASE, static=dict(BASE.static or {}), auth=dict(BASE.auth or {}))
    assert again.fingerprint() == BASE.fingerprint()
    by_other_order = {"b": Object("b", "x", 1), "a": Object("a", "y", 1)}
    sorted_order = dict(sorted(by_other_order.items()))
    assert (
        replace(BASE, static=by_other_order).fingerprint() == replace(BASE, static=sorted_order).fingerprint()
    )


def test_new_projects_are_distinguished_by_name() -> None:
    one, other = (Snapshot(Project("", name)) for name in ("a", "b"))
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(("done", "applied"), [(0, False), (1, False), (2, True)])
def test_a_migration_is_applied_when_all_steps_are(done: int, applied: bool) -> None:
    assert Migration("1", "f", "c", "s", steps=2, steps_done=done).applied is applied


PUT = PutStatic("a.html", "a" * 64, 1, Action.ADD, "new")
PLAN = Plan(Project("p", "n"), (PUT, DeleteStatic("b.html", "gone")), (Note("n", "m"),), "d", "l", 1)


def test_a_plan_counts_its_actions() -> None:
    changed = replace(PUT, action=Action.CHANGE)
    assert replace(PLAN, changes=(*PLAN.changes, changed)).counts == Counts(add=1, change=1, destroy=1)
    assert not PLAN.empty
    assert replace(PLAN, changes=()).empty


@pytest.mark.parametrize(
    ("destroys", "file", "counts"),
    [
        ((), "sql/1_a.sql", Counts(change=1)),
        ((), "sql/2_b.sql", Counts(add=1)),
        (("table t",), "sql/1_a.sql", Counts(add=1, destroy=1)),
    ],
)
def test_a_file_that_destroys_rows_counts_as_a_change(destroys, file: str, counts: Counts) -> None:
    migration = ApplyMigration("1", "1_a.sql", "", "", destroys=destroys)
    hazard = Hazard("delete_rows", HazardSeverity.DESTRUCTIVE, "", "t", Location(file))
    plan = replace(PLAN, changes=(migration,), hazards=(hazard,), migrations="sql")
    assert plan.counts == counts


def test_a_plan_is_identified_by_its_changes() -> None:
    others = [
        replace(PLAN, changes=PLAN.changes[::-1]),
        replace(PLAN, changes=(replace(PUT, sha256="b" * 64), PLAN.changes[1])),
        replace(PLAN, desired="x"),
        replace(PLAN, live="x"),
    ]
    assert len({PLAN.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert replace(PLAN, notes=()).fingerprint == PLAN.fingerprint


def test_change_facts_are_json_ready() -> None:
    facts = change_facts(ApplyMigration("1", "0001_a.sql", "c", "s", 3, 1))
    assert facts == {
        "kind": "migration",
        "address": "migration:0001_a.sql",
        "action": "add",
        "reason": "resumes after step 1 of 3",
        "version": "1",
        "file": "0001_a.sql",
        "checksum": "c",
        "semantic_checksum": "s",
        "steps": 3,
        "steps_done": 1,
        "summary": "",
        "destroys": (),
        "updates": (),
        "deletes": (),
    }
