"""Properties of every plan: applying it makes live equal desired, in an order that never breaks the site."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.diff.ledger_cleanup import LedgerCleanup, ledger_cleanup
from mosaic_deploy.diff.plan import PlanRules, make_plan
from mosaic_deploy.model.change import (
    Action,
    ApplyMigration,
    Change,
    CreateProject,
    DeleteStatic,
    DeleteStorageFile,
    EnableExtension,
    PutStatic,
    PutStorageFile,
    SetAuth,
)
from mosaic_deploy.model.plan import Plan, Severity
from mosaic_deploy.model.snapshot import (
    NOT_LIVE_STATES,
    OTHERS_STATES,
    Migration,
    Object,
    ObjectState,
    Project,
    Snapshot,
    objects_digest,
    unmanaged_object,
)

PROJECT = Project("pod-1", "app")
PRUNE = PlanRules(prune_static=True, prune_storage=True)

NAMES = ["index.html", "a.html", "sub/index.html", "INDEX.HTML", "app.js", "é.png", "z.css", "index.htm.txt"]
CONTENTS = st.sampled_from([("a" * 64, 1), ("b" * 64, 2), ("c" * 64, 2)])
"""Digests with sizes."""
MIGRATIONS = [Migration(str(n), f"{n:04}_x.sql", f"c{n}", f"s{n}", steps=1 + n % 3) for n in (1, 2, 3, 10)]
AUTH = st.none() | st.fixed_dictionaries({"redirect_url": st.sampled_from(["/a", "/b"])})
EXTENSIONS = st.frozensets(st.sampled_from(["vector", "pgcrypto", "uuid-ossp"]))


def objects(states: list[ObjectState]) -> st.SearchStrategy[dict[str, Object]]:
    facts = st.tuples(CONTENTS, st.sampled_from(states))
    return st.dictionaries(st.sampled_from(NAMES), facts).map(
        lambda rows: {path: Object(path, *content, state) for path, (content, state) in rows.items()}
    )


@st.composite
def desired_snapshots(draw: st.DrawFn) -> Snapshot:
    return Snapshot(
        project=PROJECT,
        extensions=draw(EXTENSIONS),
        migrations=draw(st.none() | st.just(tuple(MIGRATIONS))),
        static=draw(st.none() | objects([ObjectState.LIVE])),
        storage=draw(st.none() | objects([ObjectState.LIVE])),
        auth=draw(AUTH),
    )


@st.composite
def live_snapshots(draw: st.DrawFn) -> Snapshot:
    """Any state that complete or interrupted deploys may leave."""
    count = draw(st.integers(0, len(MIGRATIONS)))
    history = [replace(m, steps_done=m.steps) for m in MIGRATIONS[:count]]
    if history and draw(st.booleans()):
        history[-1] = replace(history[-1], steps_done=draw(st.integers(0, history[-1].steps)))
    return Snapshot(
        project=draw(st.just(PROJECT) | st.just(Project("", "app", status="absent"))),
        extensions=draw(EXTENSIONS),
        migrations=tuple(history),
        static=draw(objects(list(ObjectState))),
        storage=draw(objects(list(ObjectState))),
        auth=draw(AUTH),
        serial=draw(st.integers(0, 3)),
    )


def apply(plan: Plan, live: Snapshot, desired: Snapshot) -> Snapshot:
    """The live state after a platform has made exactly the plan's changes."""
    static, storage = dict(live.static or {}), dict(live.storage or {})
    history = {m.version: m for m in live.migrations or ()}
    steps = {m.version: m for m in desired.migrations or ()}
    for change in plan.changes:
        match change:
            case CreateProject():
                live = replace(live, project=PROJECT)
            case EnableExtension(name):
                live = replace(live, extensions=live.extensions | {name})
            case ApplyMigration(version, steps_done=first):
                before = history.get(version)
                assert first == (before.steps_done if before else 0), (
                    "no step runs twice, and none is skipped"
                )
                history[version] = replace(steps[version], steps_done=change.steps)
            case PutStatic(path, sha256, size):
                static[path] = Object(path, sha256, size)
            case PutStorageFile(path, sha256, size):
                storage[path] = Object(path, sha256, size)
            case DeleteStatic(path):
                del static[path]
            case DeleteStorageFile(path):
                del storage[path]
            case SetAuth():
                live = replace(live, auth=desired.auth)
    if not plan.partial:
        clean_up(static, ledger_cleanup(desired.static, live.static, deleted(plan, DeleteStatic)))
        clean_up(storage, ledger_cleanup(desired.storage, live.storage, deleted(plan, DeleteStorageFile)))
    return replace(live, static=static, storage=storage, migrations=tuple(history.values()))


def deleted(plan: Plan, kind: type[DeleteStatic | DeleteStorageFile]) -> set[str]:
    return {
        c.path
        for c in plan.changes
        if isinstance(c, DeleteStatic | DeleteStorageFile) and isinstance(c, kind)
    }


def clean_up(rows: dict[str, Object], found: LedgerCleanup) -> None:
    for path in found.forget:
        if (row := rows.pop(path)).state is ObjectState.REPLACED:
            rows[path] = unmanaged_object(path, row.size)
    for marked in found.mark:
        before = rows.get(marked.path)
        changed = before and before.state in (ObjectState.DRIFTED, ObjectState.ALTERED)
        listed = replace(marked, state=ObjectState.KEPT_CHANGED, listed_size=marked.size + 1)
        # The next listing, or comparison of bytes, says it again.
        rows[marked.path] = listed if changed and marked.state is ObjectState.KEPT else marked


def managed(found: dict[str, Object] | None) -> dict[str, Object]:
    """The live objects that deploys manage: neither somebody else's nor lost."""
    excluded = {ObjectState.UNMANAGED, ObjectState.REPLACED, ObjectState.MISSING, ObjectState.UNSENT}
    return {path: o for path, o in (found or {}).items() if o.state not in excluded}


@given(desired_snapshots())
def test_plan_is_empty_if_live_equals_desired(desired: Snapshot) -> None:
    applied = tuple(replace(m, steps_done=m.steps) for m in desired.migrations or ())
    plan = make_plan(desired, replace(desired, migrations=applied), PRUNE)
    assert (plan.changes, plan.notes) == ((), ())


@given(desired_snapshots(), live_snapshots())
def test_applied_plan_makes_live_equal_desired(desired: Snapshot, live: Snapshot) -> None:
    after = apply(make_plan(desired, live, PRUNE), live, desired)
    assert after.project.id
    assert after.extensions >= desired.extensions
    if desired.static is not None:
        assert managed(after.static) == desired.static
    if desired.storage is not None:
        assert managed(after.storage) == desired.storage
    if desired.migrations is not None:
        assert [m.version for m in after.migrations or () if m.applied] == [
            m.version for m in desired.migrations
        ]
    if desired.auth is not None:
        assert after.auth == desired.auth


@given(desired_snapshots(), live_snapshots())
def test_undeclared_sections_are_untouched(desired: Snapshot, live: Snapshot) -> None:
    """Rows of files that are gone may be removed."""
    after = apply(make_plan(desired, live, PRUNE), live, desired)
    for kind in ("migrations", "auth"):
        if getattr(desired, kind) is None:
            assert getattr(after, kind) == getattr(live, kind)
    for kind in ("static", "storage"):
        if getattr(desired, kind) is None:
            before = getattr(live, kind)
            there = {path: o for path, o in before.items() if o.state not in NOT_LIVE_STATES}
            assert getattr(after, kind) == there


@given(desired_snapshots(), live_snapshots(), st.booleans())
def test_second_plan_is_empty(desired: Snapshot, live: Snapshot, prune: bool) -> None:
    rules = PRUNE if prune else PlanRules()
    after = apply(make_plan(desired, live, rules), live, desired)
    assert make_plan(desired, after, rules).changes == ()
    for wanted, found in ((desired.static, after.static), (desired.storage, after.storage)):
        assert not ledger_cleanup(wanted, found, ())
        if wanted is not None and found is not None:
            uncounted = OTHERS_STATES | {ObjectState.KEPT}
            counted = {p: o for p, o in found.items() if o.state not in uncounted}
            assert objects_digest(counted) == objects_digest(wanted), "the ledger needn't be read again"


@given(desired_snapshots(), live_snapshots())
def test_nothing_is_deleted_without_prune(desired: Snapshot, live: Snapshot) -> None:
    plan = make_plan(desired, live, PlanRules())
    assert plan.counts.destroy == 0
    assert set(managed(live.static)) <= set(managed(apply(plan, live, desired).static))


@given(desired_snapshots(), live_snapshots())
def test_prune_true_keeps_unmanaged_files(desired: Snapshot, live: Snapshot) -> None:
    unmanaged = {p for p, o in (live.static or {}).items() if o.state is ObjectState.UNMANAGED}
    deleted = {c.path for c in make_plan(desired, live, PRUNE).changes if isinstance(c, DeleteStatic)}
    assert not unmanaged & deleted


@given(desired_snapshots(), live_snapshots())
def test_prune_all_deletes_everything_undesired(desired: Snapshot, live: Snapshot) -> None:
    plan = make_plan(desired, live, PlanRules("all", "all"))
    after = apply(plan, live, desired)
    for wanted, found in ((desired.static, after.static), (desired.storage, after.storage)):
        assert wanted is None or found == wanted
    unmanaged = [c for c in plan.changes if isinstance(c, DeleteStatic | DeleteStorageFile) and c.unmanaged]
    deletes = [c for c in plan.changes if isinstance(c, DeleteStatic | DeleteStorageFile)]
    assert plan.prune_count in ((len(deletes),) if unmanaged else (0, len(deletes)))


def place(change: Change) -> tuple[int, int]:
    """A change's rank in the documented order."""
    match change:
        case CreateProject():
            return (0, 0)
        case EnableExtension():
            return (1, 0)
        case PutStorageFile():
            return (2, 0)
        case ApplyMigration(version):
            return (3, int(version))
        case PutStatic("index.html"):
            return (4, 2)
        case PutStatic(path):
            return (4, 1 if path.lower().endswith(".html") else 0)
        case SetAuth():
            return (5, 0)
        case DeleteStatic(path):
            return (6, 0 if path.lower().endswith(".html") else 1)
        case DeleteStorageFile():
            return (7, 0)
    raise AssertionError(change)


@given(desired_snapshots(), live_snapshots())
def test_changes_are_in_the_documented_order(desired: Snapshot, live: Snapshot) -> None:
    places = [place(change) for change in make_plan(desired, live, PRUNE).changes]
    assert places == sorted(places)


@given(desired_snapshots(), live_snapshots())
def test_each_address_has_one_change(desired: Snapshot, live: Snapshot) -> None:
    addresses = [change.address for change in make_plan(desired, live, PRUNE).changes]
    assert len(addresses) == len(set(addresses))


def plan_of(live: Object | None, wanted: Object | None, rules: PlanRules = PRUNE) -> Plan:
    desired = Snapshot(PROJECT, static={wanted.path: wanted} if wanted else {})
    return make_plan(desired, Snapshot(PROJECT, static={live.path: live} if live else {}), rules)


WANTED = Object("a.css", "a" * 64, 5)
STATES = {
    "new": (None, Action.ADD, "new"),
    "content": (Object("a.css", "b" * 64, 5), Action.CHANGE, "content changed"),
    "pending": (
        replace(WANTED, state=ObjectState.PENDING),
        Action.CHANGE,
        "an earlier deploy stopped before this was done",
    ),
    "missing": (replace(WANTED, state=ObjectState.MISSING), Action.ADD, "missing live"),
    "drifted": (
        replace(WANTED, state=ObjectState.DRIFTED, listed_size=7),
        Action.CHANGE,
        "drifted: live size is 7 bytes, expected 5",
    ),
    "unsent": (
        replace(WANTED, state=ObjectState.UNSENT),
        Action.ADD,
        "new; an earlier deploy stopped before uploading it",
    ),
    "altered": (
        replace(WANTED, state=ObjectState.ALTERED),
        Action.CHANGE,
        "drifted: live content differs from what was deployed",
    ),
    "kept": (Object("a.css", "b" * 64, 5, ObjectState.KEPT), Action.CHANGE, "content changed"),
    "kept_changed": (
        Object("a.css", "b" * 64, 5, ObjectState.KEPT_CHANGED, listed_size=7),
        Action.CHANGE,
        "overwrites a file that was changed live after it had left the folder (7 B live)",
    ),
    "kept_changed, of the desired size": (
        Object("a.css", "b" * 64, 6, ObjectState.KEPT_CHANGED, listed_size=5),
        Action.CHANGE,
        "overwrites a file that was changed live after it had left the folder (content not compared)",
    ),
    "replaced": (
        Object("a.css", "a" * 64, 5, ObjectState.REPLACED, listed_size=7),
        Action.CHANGE,
        "overwrites a file that somebody else uploaded after an earlier deploy had stopped (7 B live)",
    ),
    "unmanaged": (
        Object("a.css", "", 5, ObjectState.UNMANAGED),
        Action.CHANGE,
        "overwrites a file that this project didn't deploy (content not compared)",
    ),
}


@pytest.mark.parametrize(("live", "action", "reason"), STATES.values(), ids=STATES)
def test_reason_for_each_state(live: Object | None, action: Action, reason: str) -> None:
    overwrites = live is not None and live.state in OTHERS_STATES
    assert plan_of(live, WANTED).changes == (PutStatic("a.css", "a" * 64, 5, action, reason, overwrites),)


UNMANAGED = replace(WANTED, state=ObjectState.UNMANAGED, listed_size=5)


@pytest.mark.parametrize(
    ("live", "how"),
    [
        (replace(UNMANAGED, sha256="b" * 64), "different content"),
        (replace(UNMANAGED, sha256="", listed_size=7), "7 B live"),
        (replace(UNMANAGED, sha256=""), "content not compared"),
        (replace(UNMANAGED, sha256="", listed_size=None), "content not compared"),
    ],
)
def test_overwriting_an_unmanaged_file_must_be_approved(live: Object, how: str) -> None:
    plan = plan_of(live, WANTED)
    [change] = plan.changes
    assert change.reason == f"overwrites a file that this project didn't deploy ({how})"
    assert [approval.allow for approval in plan.approvals] == ["overwrite=1"]


def test_an_equal_unmanaged_file_is_only_recorded() -> None:
    plan = plan_of(UNMANAGED, WANTED)
    assert (plan.changes, plan.approvals) == ((), ())
    assert [(note.code, note.addresses) for note in plan.notes] == [("static_adopted", ("static:a.css",))]
    assert ledger_cleanup({"a.css": WANTED}, {"a.css": UNMANAGED}, ()).mark == (WANTED,)


OURS = PlanRules(prune_static=True, manifest="web/mosaic.yaml")
FOREIGN = replace(WANTED, manifest="admin/mosaic.yaml")


def test_prune_leaves_the_files_of_other_manifests() -> None:
    live = {"a.css": FOREIGN, "b.css": replace(FOREIGN, path="b.css", state=ObjectState.MISSING)}
    plan = make_plan(Snapshot(PROJECT, static={}), Snapshot(PROJECT, static=live), OURS)
    assert plan.changes == ()
    assert [(note.code, note.addresses) for note in plan.notes] == [("static_foreign", ("static:a.css",))]
    assert not ledger_cleanup({}, live, (), OURS.manifest), "its rows belong to the other manifest"


def test_prune_all_deletes_them_only_with_approval() -> None:
    plan = plan_of(FOREIGN, None, replace(OURS, prune_static="all"))
    assert plan.changes == (DeleteStatic("a.css", "deployed by admin/mosaic.yaml", unmanaged=True),)
    assert [approval.allow for approval in plan.approvals] == ["prune=1"]


@pytest.mark.parametrize("sha256", ["a" * 64, "b" * 64], ids=["equal", "different"])
def test_taking_over_a_file_of_another_manifest_is_noted(sha256: str) -> None:
    live = replace(FOREIGN, sha256=sha256)
    plan = plan_of(live, WANTED, OURS)
    [note] = plan.notes
    assert note.code == "static_taken_over"
    assert "admin/mosaic.yaml" in note.message
    recorded = ledger_cleanup({"a.css": WANTED}, {"a.css": live}, (), OURS.manifest).mark
    assert (len(plan.changes), len(recorded)) == ((0, 1) if sha256 == WANTED.sha256 else (1, 0))


@pytest.mark.parametrize("manifest", ["", "web/mosaic.yaml"])
def test_files_of_this_or_an_unknown_manifest_are_ours(manifest: str) -> None:
    assert plan_of(replace(WANTED, manifest=manifest), None, OURS).changes
    assert plan_of(replace(WANTED, manifest=manifest), WANTED, OURS).notes == ()


SETTINGS = {"redirect_url": "/in.html"}


@pytest.mark.parametrize(
    ("unmanaged", "approvals"),
    [(None, []), (SETTINGS, []), ({"redirect_url": "/other.html"}, ["overwrite=1"])],
)
def test_unmanaged_auth_settings(unmanaged: dict[str, object] | None, approvals: list[str]) -> None:
    live = Snapshot(PROJECT, unmanaged_auth=unmanaged)
    plan = make_plan(Snapshot(PROJECT, auth=SETTINGS), live, PlanRules())
    assert [change.address for change in plan.changes] == ["auth:magic_link"]
    assert [approval.allow for approval in plan.approvals] == approvals


def test_every_state_has_a_case() -> None:
    assert {live.state for live, _, _ in STATES.values() if live} == set(ObjectState)


@pytest.mark.parametrize("state", sorted(set(ObjectState) - NOT_LIVE_STATES - {ObjectState.UNMANAGED}))
def test_prune_deletes_deployed_files_no_longer_desired(state: ObjectState) -> None:
    plan = plan_of(replace(WANTED, state=state), None)
    changed = state in (ObjectState.DRIFTED, ObjectState.ALTERED, *OTHERS_STATES)
    reason = (
        "no longer in the folder; changed since it was deployed" if changed else "no longer in the folder"
    )
    assert (plan.changes, plan.notes) == ((DeleteStatic("a.css", reason, unmanaged=changed),), ())


@pytest.mark.parametrize(
    "found",
    [
        replace(WANTED, state=ObjectState.PENDING, listed_size=WANTED.size + 1),
        replace(WANTED, state=ObjectState.KEPT, sha256="", listed_size=WANTED.size + 1),
    ],
)
def test_what_others_put_in_place_of_a_deployed_file_is_deleted_after_approval(found: Object) -> None:
    plan = plan_of(found, None)
    assert [change.unmanaged for change in plan.changes] == [True]
    assert [approval.allow for approval in plan.approvals] == ["prune=1"]


@pytest.mark.parametrize("state", sorted(NOT_LIVE_STATES))
@pytest.mark.parametrize("rules", [PlanRules(), PRUNE], ids=["kept", "pruned"])
def test_lost_files_are_forgotten_not_deleted(state: ObjectState, rules: PlanRules) -> None:
    lost = {"a.css": replace(WANTED, state=state)}
    plan = plan_of(lost["a.css"], None, rules)
    assert (plan.changes, plan.notes) == ((), ())
    assert ledger_cleanup({}, lost, ()) == LedgerCleanup(forget=("a.css",))


def test_kept_file_desired_again_is_not_uploaded() -> None:
    kept = replace(WANTED, state=ObjectState.KEPT)
    assert plan_of(kept, WANTED).changes == ()
    assert ledger_cleanup({"a.css": WANTED}, {"a.css": kept}, ()) == LedgerCleanup(mark=(WANTED,))


def test_prune_all_stays_below_the_prefix() -> None:
    unmanaged = {
        p: Object(p, "", 1, ObjectState.UNMANAGED) for p in ("uploads/by-a-user.png", "images/old.png")
    }
    live = Snapshot(PROJECT, storage=unmanaged)
    plan = make_plan(Snapshot(PROJECT, storage={}), live, PlanRules(prune_storage="all", prefix="images/"))
    assert plan.changes == (
        DeleteStorageFile("images/old.png", "not deployed by this project", unmanaged=True),
    )
    assert [note.addresses for note in plan.notes] == [("storage:uploads/by-a-user.png",)]


def test_impossible_deletion_is_a_warning_once_then_info() -> None:
    rules = PlanRules(cannot_delete=frozenset({"static"}))
    [first] = plan_of(WANTED, None, rules).notes
    [second] = plan_of(replace(WANTED, state=ObjectState.KEPT), None, rules).notes
    assert first.message == second.message
    assert "the platform's API offers no way to delete it" in first.message
    assert (first.severity, second.severity) == (Severity.WARNING, Severity.INFO)


def test_kept_files_are_noted_without_prune() -> None:
    [note] = plan_of(WANTED, None, PlanRules()).notes
    assert (note.code, note.severity, note.addresses) == ("static_kept", Severity.WARNING, ("static:a.css",))
    assert (
        note.message
        == "1 file no longer in the folder stays live (a.css); set static.prune: true to delete it"
    )


@pytest.mark.parametrize("rules", [PlanRules(), PRUNE], ids=["kept", "pruned"])
def test_unmanaged_files_are_noted(rules: PlanRules) -> None:
    unmanaged = {p: Object(p, "", 1, ObjectState.UNMANAGED) for p in ("b.png", "a.png")}
    plan = make_plan(Snapshot(PROJECT, storage={}), Snapshot(PROJECT, storage=unmanaged), rules)
    [note] = plan.notes
    assert (note.code, note.severity, note.addresses) == (
        "storage_unmanaged",
        Severity.INFO,
        ("storage:a.png", "storage:b.png"),
    )
    assert note.message == "2 unmanaged live files, kept: a.png, b.png"


def test_note_about_many_files_names_three_and_the_count() -> None:
    unmanaged = {f"{n:04}.png": Object(f"{n:04}.png", "", 1, ObjectState.UNMANAGED) for n in range(5000)}
    [note] = make_plan(Snapshot(PROJECT, storage={}), Snapshot(PROJECT, storage=unmanaged), PlanRules()).notes
    assert note.message.startswith("5000 unmanaged live files")
    assert note.message.endswith("kept: 0000.png, 0001.png, 0002.png, …")
    assert len(note.addresses) == 100


def test_auth_change_names_the_changed_settings() -> None:
    old = {"redirect_url": "/a", "allowed_redirect_urls": ["/a"], "gone": 1}
    new = {"redirect_url": "/b", "allowed_redirect_urls": ["/a"]}
    [change] = make_plan(Snapshot(PROJECT, auth=new), Snapshot(PROJECT, auth=old), PRUNE).changes
    assert (change.action, change.reason) == (Action.CHANGE, "gone, redirect_url changed")
    [first] = make_plan(Snapshot(PROJECT, auth=new), Snapshot(PROJECT), PRUNE).changes
    assert (first.action, first.reason) == (Action.ADD, "new")


def test_plan_records_its_snapshots() -> None:
    desired, live = Snapshot(PROJECT, static={"a": WANTED}), Snapshot(PROJECT, serial=7)
    plan = make_plan(desired, live, PlanRules(environment="staging"))
    assert (plan.desired, plan.live) == (desired.fingerprint(), live.fingerprint())
    assert (plan.project, plan.serial, plan.environment) == (PROJECT, 7, "staging")
