"""Two git repositories that deploy to one project, with manifests of the same path: each keeps its hands off the other's."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from test_drift import reasons, rows

from mosaic_deploy.deploy.history.rollback import plan_rollback
from mosaic_deploy.errors import MigrationDiverged
from mosaic_deploy.git import remote_name, repository_name
from mosaic_deploy.source.manifest.find import manifest_identity
from tests.deploy.histories import history, known, tables

UP_DOWN = "-- migrate:up\ncreate table {0} (n int);\n-- migrate:down\ndrop table {0};\n"
SHOP, ADMIN = "https://github.com/acme/shop.git", "https://github.com/acme/admin.git"


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    ended = subprocess.run(
        ["git", *who, "-C", str(folder), *arguments], check=True, capture_output=True, text=True, timeout=60
    )
    return ended.stdout.strip()


def init(folder: Path, origin: str = "", *, commit: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    if commit:
        git(folder, "commit", "-q", "--allow-empty", "-m", folder.name)
    if origin:
        git(folder, "remote", "add", "origin", origin)


@pytest.fixture
def make(site):
    """Makes a site of the project in a folder of its own, which a repository may be made of."""

    def made(name: str, origin: str = "", *, repository: bool = True):
        one = replace(site, root=site.root / name)
        if repository:
            init(one.root, origin)
        one.write(f"www/{name}.html", name)
        one.write(f"pics/{name}.bin", name)
        one.manifest(static={"dir": "www", "prune": True, "keep": 0}, storage={"dir": "pics", "prune": True})
        return one

    return made


@pytest.mark.parametrize("origins", [(SHOP, ADMIN), ("", "")], ids=["origins", "first commits"])
def test_neither_deletes_the_files_of_the_other(make, origins):
    shop, admin = make("shop", origins[0]), make("admin", origins[1])
    for each in (shop, admin, shop, admin):
        assert not [
            change for change in each.plan().plan.changes if "no longer" in getattr(change, "reason", "")
        ]
        each.apply()
        assert not each.plan().has_work
    assert {"shop.html", "admin.html", "shop.bin", "admin.bin"} == set(rows(shop))
    static = next(note.message for note in shop.plan().plan.notes if note.code == "static_foreign")
    other = "github.com/acme/admin" if origins[0] else "the repository whose first commit is "
    assert static.startswith(f"1 live file deployed by mosaic.yaml of {other}")
    assert static.endswith(", kept: admin.html")
    shop.manifest(static={"dir": "www", "prune": "all", "keep": 0}, storage={"dir": "pics", "prune": True})
    [deletion] = shop.plan().plan.changes
    assert deletion.reason.startswith(f"deployed by mosaic.yaml of {other}")
    assert deletion.unmanaged


def test_only_one_repository_owns_the_history(make):
    shop, admin = make("shop", SHOP), make("admin", ADMIN)
    history(shop, m1_a=UP_DOWN.format("a"))
    shop.apply()
    history(admin, m2_x=UP_DOWN.format("x"))
    for attempt in (admin.plan, lambda: plan_rollback(admin.api, known(admin))):
        with pytest.raises(MigrationDiverged) as caught:
            attempt()
        assert "mosaic.yaml of github.com/acme/shop applied them" in caught.value.problems[0].message
    assert tables(shop) == {"a"}
    assert plan_rollback(shop.api, known(shop)).plan.changes


def test_a_project_that_is_deployed_before_it_has_commits_or_an_origin_stays_the_same(make):
    """Each apply records what is known by then, so another repository isn't taken for this one."""
    shop = make("shop", repository=False)
    history(shop, m1_a=UP_DOWN.format("a"))
    shop.manifest(database={"migrations": "sql"}, static={"dir": "www", "prune": True, "keep": 0})
    steps = (
        lambda: git(shop.root, "init", "-q"),
        lambda: git(shop.root, "commit", "-q", "--allow-empty", "-m", "first"),
        lambda: git(shop.root, "remote", "add", "origin", SHOP),
        lambda: git(shop.root, "remote", "set-url", "origin", "git@github.com:Acme/Shop"),
    )
    shop.apply()
    for step in steps:
        step()
        planned = shop.plan()
        assert planned.plan.changes == ()
        assert {note.code for note in planned.plan.notes} <= {
            "static_manifest_renamed", "policy_not_recorded", "history_owner_changes", "history_not_current"
        }  # fmt: skip
        shop.apply()
        assert not shop.plan().has_work
        assert {row["manifest"] for row in shop.sql("select manifest from mosaic_deploy.objects")} == {
            manifest_identity(shop.root / "mosaic.yaml")
        }
    shop.write("www/index.html", "front")
    (shop.root / "www/shop.html").unlink()
    assert reasons(shop.plan()) == {"static:index.html": "new", "static:shop.html": "no longer in the folder"}
    [owner] = shop.sql(
        "select value->>'repository' as r from mosaic_deploy.settings where name = 'migrations'"
    )
    assert owner["r"] == "origin=github.com/acme/shop"
    [policy] = shop.sql("select value from mosaic_deploy.settings where name = 'policy'")
    assert set(policy["value"]) == {"shop/mosaic.yaml", "mosaic.yaml#origin=github.com/acme/shop"}


def test_rows_of_a_deploy_that_recorded_only_the_path_are_this_manifests(make):
    shop = make("shop", SHOP)
    git(shop.root, "remote", "remove", "origin")
    (shop.root / ".git").rename(shop.root / "git")
    (shop.root / ".git").mkdir()
    assert manifest_identity(shop.root / "mosaic.yaml") == "mosaic.yaml"
    shop.apply()
    (shop.root / ".git").rmdir()
    (shop.root / "git").rename(shop.root / ".git")
    shop.write("www/index.html", "front")
    (shop.root / "www/shop.html").unlink()
    assert reasons(shop.plan()) == {"static:index.html": "new", "static:shop.html": "no longer in the folder"}


def test_each_repository_has_its_own_recorded_policy(make):
    shop, admin = make("shop", SHOP), make("admin", ADMIN)
    shop.manifest(static={"dir": "www"}, policy={"destructive": "deny"})
    shop.apply()
    admin.manifest(static={"dir": "www"}, policy={"destructive": "deny", "max_deletes": 3})
    admin.apply()
    for each in (shop, admin):
        assert not each.plan().has_work
    [record] = shop.sql("select value from mosaic_deploy.settings where name = 'policy'")
    for name in ("shop", "admin"):
        assert f"mosaic.yaml#origin=github.com/acme/{name}" in str(record["value"])


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/shop", "https://github.com/acme/shop.git", "https://github.com/acme/shop.git/",
        "http://user@github.com/acme/shop", "https://ann:s3cret@github.com/Acme/Shop.git",
        "https://ann:s3/c@ret@GitHub.com:443/acme//shop", "git@github.com:acme/shop.git", "github.com:acme/shop",
        "ssh://git@github.com/acme/shop.git", "ssh://git@ssh.github.com:443/acme/shop.git", "git://github.com/acme/shop",
        "s3cret@github.com:acme/shop.git", "https://s3cret@github.com/acme/shop",
    ],
)  # fmt: skip
def test_the_name_of_a_remote_is_the_same_for_every_protocol_and_user(url):
    assert remote_name(url) == "github.com/acme/shop"


@pytest.mark.parametrize(
    "url",
    [
        "", "/srv/git/shop.git", "../shop", "file:///srv/git/shop.git", "shop", "git@work:acme/shop",
        "git@github.com-work:acme/shop", "https://localhost/acme/shop", "https://github.com/acme/shop?token=s3cret",
        "https://github.com/acme/shop#s3cret", "https://github.com/", "codecommit::eu-west-1://ann@shop", "ext::sh -c x",
        "https://ann:s3?c@github.com/acme/shop?x",
    ],
)  # fmt: skip
def test_a_remote_that_says_nothing_on_other_machines_has_no_name(url):
    assert remote_name(url) == ""


def test_without_a_usable_origin_the_first_commit_of_the_main_line_counts(tmp_path):
    root = tmp_path / "shop"
    init(root, commit=False)
    assert repository_name(root) == ""
    git(root, "commit", "-q", "--allow-empty", "-m", "first")
    first = f"commit={git(root, 'rev-parse', 'HEAD')}"
    assert repository_name(root) == first
    git(root, "checkout", "-q", "--orphan", "other")
    git(root, "commit", "-q", "--allow-empty", "-m", "another first one")
    git(root, "checkout", "-q", "main")
    git(root, "merge", "-q", "--allow-unrelated-histories", "-m", "both", "other")
    git(root, "remote", "add", "origin", str(tmp_path / "elsewhere"))
    assert repository_name(root) == first
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{root}", "shallow")
    assert repository_name(tmp_path / "shallow") == ""
    git(tmp_path, "clone", "-q", str(root), "whole")
    assert repository_name(tmp_path / "whole") == first
    (root / "inner/.git").mkdir(parents=True)
    assert repository_name(root / "inner") == "", "a folder of that name that isn't a repository"
