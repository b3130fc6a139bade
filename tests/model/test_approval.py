"""Which deletions must be approved: all files, most of them, or others' files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mosaic_deploy.diff.plan import PlanRules, make_plan
from mosaic_deploy.model.approval import Approval
from mosaic_deploy.model.snapshot import Object, ObjectState, Project, Snapshot

PROJECT = Project("pod-1", "app", "https://pod-1.example")
VITE = ["index.html", "assets/index-BfKCHzrZ.js", "assets/index-DiwrgTda.css", "assets/logo-B7a2d0f1.svg"]
VITE_AGAIN = [
    "index.html",
    "assets/index-C9x_Fa2p.js",
    "assets/index-Qm3nPp8k.css",
    "assets/logo-Zk81mfa0.svg",
]
NEXT = [
    "index.html",
    "_next/static/Tf3kPq9sLm2xV8b/_buildManifest.js",
    "_next/static/chunks/main-8e0d62a10cfa9b1d.js",
]
NEXT_AGAIN = [
    "index.html", "_next/static/Zp4mQr1tKn8yW2c/_buildManifest.js", "_next/static/chunks/main-1f9a02bb8d61e77c.js",
]  # fmt: skip
SITE = ["index.html", "about.html", "contact.html", "style.css"]


def objects(names: Sequence[str]) -> dict[str, Object]:
    return {name: Object(name, "a" * 64, 5) for name in names}


def approvals(
    before: Sequence[str], after: Sequence[str], kind: str = "static", **rules: object
) -> tuple[Approval, ...]:
    chosen = PlanRules(prune_static=True, prune_storage=True, **rules)  # type: ignore[arg-type]
    sides = [Snapshot(PROJECT, **{kind: objects(names)}) for names in (after, before)]
    return make_plan(*sides, chosen).approvals


@pytest.mark.parametrize("kind", ["static", "storage"])
@pytest.mark.parametrize(
    ("before", "after", "allow"),
    [
        (SITE, [], "prune=4"),
        (["index.html"], [], "prune=1"),
        (SITE, ["other.html"], "prune=4"),
        (SITE, ["index.html"], "prune=3"),
        (SITE, ["index.html", "pricing.html", "news.html", "main.css"], "prune=3"),
        (["index.html"], ["home.html"], "prune=1"),
        (SITE, ["index.html", "about.html"], None),
        (SITE, SITE[:3], None),
        (SITE, [*SITE, "new.html"], None),
        ([*SITE, "team.html"], SITE[:2], "prune=3"),
        ([*SITE, "team.html"], SITE[:3], None),
        (VITE, VITE_AGAIN, None),
        (NEXT, NEXT_AGAIN, None),
        (VITE, ["index.html"], "prune=3"),
        (VITE, [], "prune=4"),
        (VITE, ["index.html", "assets/app.js", "assets/app.css", "assets/logo.svg"], "prune=3"),
    ],
)  # fmt: skip
def test_deleting_all_or_most_files_must_be_approved(
    kind: str, before: list[str], after: list[str], allow: str | None
) -> None:
    assert [approval.allow for approval in approvals(before, after, kind)] == ([allow] if allow else [])


@pytest.mark.parametrize(
    ("wanted", "theirs", "effect"),
    [
        (SITE, 1, "deletes 1 file that this manifest didn't deploy, or that changed since"),
        (SITE, 2, "deletes 2 files that this manifest didn't deploy, or that changed since"),
        (SITE[:3], 1, "deletes 2 files: 1 of them was not deployed by this manifest, or changed since"),
        ([], 2, "deletes 6 files: all static files that were live; 2 of them were not deployed by this manifest, or changed since"),
    ],
)  # fmt: skip
def test_deleting_what_this_project_did_not_deploy_must_be_approved(
    wanted: list[str], theirs: int, effect: str
) -> None:
    live = objects([*SITE, *(f"theirs{n}.html" for n in range(theirs))])
    for name in live.keys() - SITE:
        live[name] = replace(live[name], state=ObjectState.UNMANAGED)
    rules = PlanRules(prune_static="all")
    plan = make_plan(Snapshot(PROJECT, static=objects(wanted)), Snapshot(PROJECT, static=live), rules)
    [approval] = plan.approvals
    assert (approval.allow, approval.effect) == (f"prune={effect.split()[1]}", effect)


@pytest.mark.parametrize(
    ("file", "effect"),
    [
        ("a" * 64, "overwrites auth settings that this project didn't deploy"),
        (
            "b" * 64,
            "overwrites 1 live file that this project didn't deploy and auth settings that this project didn't deploy",
        ),
    ],
)
def test_overwriting_files_and_auth_settings_must_be_approved(file: str, effect: str) -> None:
    theirs = {"index.html": Object("index.html", file, 5, ObjectState.UNMANAGED, listed_size=5)}
    live = Snapshot(PROJECT, static=theirs, unmanaged_auth={"redirect_url": "/theirs"})
    desired = Snapshot(PROJECT, static=objects(["index.html"]), auth={"redirect_url": "/"})
    [approval] = make_plan(desired, live, PlanRules()).approvals
    assert approval.effect == effect
    assert approval.allow == f"overwrite={effect.count('this project')}"


def test_words_of_fewer_than_eight_letters_are_no_digests() -> None:
    """`a-B7a2d` is one word more often than a digest."""
    before = ["index.html", "assets/a-B7a2d.js", "assets/b-B7a2e.js", "assets/c-B7a2f.js"]
    after = ["index.html", "assets/a-C9x1F.js", "assets/b-C9x1G.js", "assets/c-C9x1H.js"]
    assert [approval.allow for approval in approvals(before, after)] == ["prune=3"]


def test_a_file_is_replaced_only_within_its_top_folder() -> None:
    before = ["index.html", *(f"assets/index-BfKCHz{n}Z.js" for n in range(3))]
    after = ["index.html", *(f"other/index-C9xaFa{n}p.js" for n in range(3))]
    assert [approval.allow for approval in approvals(before, after)] == ["prune=3"]


def test_a_generated_file_does_not_make_a_site() -> None:
    generated = {"generated": frozenset({"mosaic-auth.json"})}
    [approval] = approvals(["index.html", "mosaic-auth.json"], ["mosaic-auth.json"], **generated)
    assert approval.effect == "deletes 1 file: the only live static file"


@pytest.mark.parametrize("state", ObjectState)
@pytest.mark.parametrize("generated", [frozenset(), frozenset({"mosaic-auth.json"})])
def test_without_deletions_nothing_is_approved(state, generated) -> None:
    """Also not after a first deploy that was killed before it sent the first file."""
    desired = objects([*SITE, "mosaic-auth.json"])
    live = {name: replace(each, state=state) for name, each in desired.items()}
    plan = make_plan(
        Snapshot(PROJECT, static=desired),
        Snapshot(PROJECT, static=live),
        PlanRules(prune_static=True, generated=generated),
    )
    assert [approval for approval in plan.approvals if approval.kind == "prune"] == []
    assert min(plan.live_counts.values()) >= 0


def test_the_effect_names_what_is_deleted() -> None:
    [approval] = approvals(SITE, ["index.html"])
    assert approval.effect == "deletes 3 files: 3 of the 4 live static files"


@pytest.mark.parametrize(
    ("before", "after", "digest"),
    [
        ("index-BfKCHzrZ", "index-C9xaFaDp", True),
        ("index-b3x9k2qa", "index-c7y1m4wz", True),
        ("polyfills-42372ed130431b0a", "polyfills-5551aed130431b0f", True),
        ("my-first-post-2023", "my-second-post-2024", False),
        ("chapter10", "chapter11", False),
        ("IMG_20230101", "IMG_20230102", False),
        ("report-2024-01-01", "report-2024-02-01", False),
    ],
)
def test_words_numbers_and_dates_are_no_digests(before: str, after: str, digest: bool) -> None:
    old, new = ([f"pages/{number}/{name}.html" for number in range(3)] for name in (before, after))
    assert bool(approvals(["index.html", *old], ["index.html", *new])) is not digest
