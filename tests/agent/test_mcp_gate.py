"""What an agent can't do by writing files: lift the policy, delete or replace live files, read other files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from mcp import Client

from mosaic_deploy.agent.account import committed_policy
from mosaic_deploy.diff.policies import stricter_policy
from mosaic_deploy.model.manifest import PolicySpec
from tests.agent.calls import call


async def apply(client: Client) -> dict:
    planned = await call(client, "plan", local=True)
    return await call(client, "apply", local=True, fingerprint=planned["fingerprint"])


def commit(folder: Path) -> None:
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)


def add_policy(folder: Path, policy: str) -> None:
    manifest = folder / "mosaic.yaml"
    manifest.write_text(f"{manifest.read_text()}policy: {policy}\n")


@pytest.mark.parametrize("committed", [False, True])
def test_a_policy_in_the_working_tree_allows_nothing(session, folder: Path, committed: bool) -> None:
    if committed:
        commit(folder)

    async def conversation(client: Client) -> None:
        await apply(client)
        add_policy(folder, "{destructive: allow}")
        (folder / "sql/2_drop.sql").write_text("drop table t; -- mosaic-ignore: drop_table agreed")
        assert (await apply(client))["error"]["code"] == "destructive_unconfirmed"

    session(conversation)


def test_the_committed_policy_counts(session, folder: Path) -> None:
    original = (folder / "mosaic.yaml").read_text()
    add_policy(folder, "{destructive: deny, protected_tables: [t]}")
    commit(folder)

    async def conversation(client: Client) -> None:
        await apply(client)
        (folder / "mosaic.yaml").write_text(original + "policy: {destructive: allow}\n")
        (folder / "sql/2_drop.sql").write_text("drop table t;")
        assert (await apply(client))["error"]["code"] == "policy_denied"
        (folder / "mosaic.yaml").write_text(original + "policy: {destructive: allow}\n")
        subprocess.run(["git", "add", "mosaic.yaml"], cwd=folder, check=True)
        assert (await apply(client))["error"]["code"] == "policy_denied"
        commit(folder)
        refused = (await apply(client))["error"]
        assert refused["code"] == "policy_unconfirmed", "the last deploy's forbids more"
        assert refused["next_actions"][0]["needs_person"]

    session(conversation)


def test_a_committed_policy_can_allow(session, folder: Path) -> None:
    add_policy(folder, "{destructive: allow}")
    commit(folder)

    async def conversation(client: Client) -> None:
        await apply(client)
        (folder / "sql/2_drop.sql").write_text("drop table t;")
        assert (await apply(client))["error"] is None

    session(conversation)


@pytest.mark.parametrize("made", ["git init", "bare", "file"])
def test_a_repository_made_in_the_folder_allows_nothing(session, folder: Path, made: str) -> None:
    commit(folder)
    inner = folder / "copy"

    async def conversation(client: Client) -> None:
        await apply(client)
        inner.mkdir()
        for name in ("public", "sql", "mosaic.yaml"):
            shutil.copytree(folder / name, inner / name) if name != "mosaic.yaml" else shutil.copy(
                folder / name, inner
            )
        add_policy(inner, "{destructive: allow}")
        (inner / "sql/2_drop.sql").write_text("drop table t;")
        commit(inner)
        if made == "bare":
            (inner / ".git").rename(inner / "git")
            shutil.copytree(inner / "git", inner, dirs_exist_ok=True)
            shutil.rmtree(inner / "git")
            subprocess.run(
                ["git", "config", "-f", "config", "core.worktree", str(inner)], cwd=inner, check=True
            )
        elif made == "file":
            (inner / ".git").rename(inner / "data")
            (inner / ".git").write_text("gitdir: data")
        planned = await call(client, "plan", local=True, path="copy")
        refused = await call(client, "apply", local=True, path="copy", fingerprint=planned["fingerprint"])
        assert refused["error"]["code"] in ("destructive_unconfirmed", "policy_unconfirmed")
        assert "destroys data" in refused["error"]["message"]

    session(conversation)


def test_live_files_need_a_person(session, folder: Path) -> None:
    manifest = folder / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("dir: public", "dir: public\n  prune: true\n  keep: 0"))
    for name in ("a", "b", "c"):
        (folder / f"public/{name}.html").write_text(name)

    async def conversation(client: Client) -> None:
        assert (await apply(client))["error"] is None
        (folder / "public/index.html").write_text("")
        assert (await apply(client))["error"]["code"] == "overwrite_unconfirmed"
        (folder / "public/index.html").write_text("<h1>hello")
        (folder / "public/a.html").unlink()
        refused = (await apply(client))["error"]
        assert refused["code"] == "prune_unconfirmed"
        assert refused["next_actions"][0]["needs_person"]
        (folder / "public/a.html").write_text("a")
        (folder / "public/new.html").write_text("new")
        assert (await apply(client))["error"] is None

    session(conversation)


UNSEEN = (
    ("update t set id = 9 where id = 1;", "destructive_unconfirmed"),
    ("delete from t where id > 0;", "destructive_unconfirmed"),
    ("select wipe();", "effects_exceed_consent"),
    ("insert into v values (1);", "effects_exceed_consent"),
    (
        "do $$ begin insert into v values (1); exception when others then null; end $$;",
        "effects_exceed_consent",
    ),
    ("refresh materialized view m;", "effects_exceed_consent"),
)


def test_rows_that_are_there_need_a_person_whatever_changes_them(session, folder: Path) -> None:
    """Triggers and functions that are live, which no text of the agent shows."""
    (folder / "sql/2_live.sql").write_text("""
        insert into t select generate_series(1, 3);
        create table v (id int);
        create function wipe() returns int language plpgsql as $$ begin delete from public.t; return 1; end $$;
        create function wiping() returns trigger language plpgsql as $$ begin perform wipe(); return null; end $$;
        create trigger w after insert on v execute function wiping();
        create function count_v() returns bigint language plpgsql as $$ begin
          if exists (select from public.t) then perform public.wipe(); end if; return 1; end $$;
        create materialized view m as select count_v() as n with no data;""")

    async def conversation(client: Client) -> None:
        assert (await apply(client))["error"] is None
        for number, (sql, code) in enumerate(UNSEEN, 3):
            file = folder / f"sql/{number}_more.sql"
            file.write_text(sql)
            error = (await apply(client))["error"]
            assert error["code"] == code, sql
            assert {each["location"]["file"] for each in error["problems"]} <= {f"sql/{file.name}"}
            file.unlink()
        rows = await call(client, "query", local=True, sql="select count(*) as n from t where id < 4")
        assert rows["rows"] == [{"n": 6}]

    session(conversation)


def test_the_person_who_starts_the_server_can_allow_kinds(session, folder: Path) -> None:
    async def conversation(client: Client) -> None:
        await apply(client)
        (folder / "public/index.html").write_text("<h1>another")
        assert (await apply(client))["error"] is None
        (folder / "sql/2_drop.sql").write_text("drop table t;")
        assert (await apply(client))["error"]["code"] == "destructive_unconfirmed"

    session(conversation, "--allow", "overwrite")


SECRET = "sk_live_4242"


@pytest.mark.parametrize("name", [".env", "id_rsa", "compose.yaml", "secrets.yml", "notes.sql", "sub"])
def test_other_files_are_not_shown(session, folder: Path, name: str) -> None:
    if name == "sub":
        (folder / "private").write_text(f"version: {SECRET}\n")
        (folder / "sub").mkdir()
        (folder / "sub/mosaic.yaml").symlink_to("../private")
    else:
        (folder / name).write_text(f"STRIPE={SECRET}\nversion: '3.8' # {SECRET}\n")

    async def conversation(client: Client) -> None:
        for tool in ("validate", "plan", "status", "query"):
            arguments = {"sql": "select 1"} if tool == "query" else {}
            document = await call(client, tool, path=name, **arguments)
            assert document["error"]["code"] == "usage", tool
            assert SECRET not in str(document), tool

    session(conversation)


def test_a_manifest_of_another_name_is_read(session, folder: Path) -> None:
    (folder / "mosaic.yaml").rename(folder / "staging.yaml")

    async def conversation(client: Client) -> None:
        assert (await call(client, "validate", path="staging.yaml"))["valid"]

    session(conversation)


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("version: 1\npolicy: {destructive: allow}", None, PolicySpec("allow")),
        ("version: 1\npolicy: {destructive: '${LOOSE}'}", None, PolicySpec()),
        ("version: 1\npolicy: {destructive: perhaps}", None, PolicySpec()),
        ("version: 1\npolicy: [", None, PolicySpec()),
        ("", None, PolicySpec()),
        (
            "version: 1\npolicy: {max_deletes: 3}\nenvironments:\n  live: {policy: {destructive: deny}}",
            "live", PolicySpec("deny", max_deletes=3),
        ),
        (
            "version: 1\npolicy: {destructive: deny}\nenvironments:\n  test: {policy: {destructive: allow}}",
            "live", PolicySpec("deny"),
        ),
    ],
)  # fmt: skip
def test_the_committed_policy_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, environment: str | None, expected: PolicySpec
) -> None:
    (tmp_path / ".env").write_text("LOOSE=allow")
    monkeypatch.setenv("LOOSE", "allow")
    file = tmp_path / "mosaic.yaml"
    file.write_text(text)
    commit(tmp_path)
    file.write_text("version: 1\npolicy: {destructive: allow}")
    assert committed_policy(file, environment, tmp_path) == expected
    assert committed_policy(file, environment, None) == stricter_policy(expected, None), (
        "made after the start"
    )
    assert committed_policy(file, environment, tmp_path.parent) == stricter_policy(expected, None)


def test_the_history_names_the_agent_and_what_its_person_allowed(session, folder: Path, platform) -> None:
    async def conversation(client: Client) -> None:
        await apply(client)
        (folder / "public/index.html").write_text("changed")
        assert (await apply(client))["error"] is None
        last = (await call(client, "status", local=True))["last_deploy"]
        assert last["holder"].endswith(", by an agent")
        assert last["report"]["approval"] == {
            "confirmed": "agent",
            "approved": [{"value": "overwrite", "effect": "replaces 1 live file", "by": "allow"}],
        }

    session(conversation, "--allow", "overwrite")


def test_only_proven_plans(session, folder: Path) -> None:
    original = (folder / "mosaic.yaml").read_text()
    add_policy(folder, "{agents: proven}")
    commit(folder)

    async def conversation(client: Client) -> None:
        assert (await apply(client))["error"] is None, "also the first deploy is rehearsed"
        (folder / "mosaic.yaml").write_text(original)
        (folder / "sql/2_c.sql").write_text("alter table t add c int;")
        planned = await call(client, "plan", local=True)
        [step] = planned["rehearsal"]["steps"]
        assert "t" in [one["name"] for one in step["touches"]]
        assert (await apply(client))["error"] is None
        (folder / "sql/3_check.sql").write_text("alter table t add exclude (id with =);")
        refused = (await apply(client))["error"]
        assert refused["code"] == "plan_unproven"
        assert "wasn't checked on the live rows" in refused["message"]
        assert refused["next_actions"][0]["needs_person"]

    session(conversation, rehearse="")


def test_plans_that_were_not_rehearsed_are_not_proven(session, folder: Path) -> None:
    add_policy(folder, "{agents: proven}")

    async def conversation(client: Client) -> None:
        refused = (await apply(client))["error"]
        assert refused["code"] == "plan_unproven"
        assert "weren't rehearsed" in refused["message"]

    session(conversation, rehearse="0")


def test_a_required_rehearsal(session, folder: Path) -> None:
    add_policy(folder, "{rehearsed: required}")

    async def conversation(client: Client) -> None:
        refused = (await apply(client))["error"]
        assert refused["code"] == "rehearsal_required"
        assert "MOSAIC_REHEARSE is 0" in refused["message"]

    session(conversation, rehearse="0")
