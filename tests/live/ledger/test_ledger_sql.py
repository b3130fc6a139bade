"""All SQL for the tracking tables is single statements, whatever names it contains."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.errors import ResponseInvalid, TrackingTablesNewer
from mosaic_deploy.live.ledger import lease, lease_sql
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.ledger import rows as ledger_rows
from mosaic_deploy.live.ledger import tables as ledger_tables
from mosaic_deploy.live.ledger.lease_sql import LeaseRequest
from mosaic_deploy.live.ledger.tables import LEDGER_VERSION
from mosaic_deploy.model.snapshot import Ledger, Migration, Object, ObjectState, Project, Snapshot
from mosaic_deploy.sql.parse import Statement, parse

ODD = [
    "'",
    "''",
    "\\",
    "\\'",
    '"',
    "$$",
    "$mosaic$",
    "é",
    "🎉",
    "--",
    "/*",
    ";",
    "\n",
    "\t",
    "{}",
    "%s",
    ":a",
    "?",
]
odd = st.lists(st.sampled_from(ODD), max_size=5).map("".join)


def one(sql: str) -> Statement:
    [statement] = parse(sql)
    return statement


def constants(statement: Statement) -> set[str]:
    """Every text constant of a statement."""
    found: set[str] = set()
    waiting: list[object] = [statement.tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            constant = node.get("A_Const")
            if isinstance(constant, dict) and "sval" in constant:
                found.add(constant["sval"].get("sval", ""))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return found


def test_install_and_probe_are_single_statements() -> None:
    assert (one(ledger_tables.install_sql()).kind, one(ledger.probe_query()).kind) == ("DoStmt", "SelectStmt")


@given(st.dictionaries(st.sampled_from(["migrations", "static", "storage"]), odd))
def test_read_is_one_select_with_one_column(digests: dict[str, str]) -> None:
    statement = one(ledger.ledger_query(digests))
    [column] = statement.node["targetList"]
    assert (statement.kind, column["ResTarget"]["name"]) == ("SelectStmt", "ledger")
    assert set(digests.values()) <= constants(statement)


@given(st.lists(st.builds(Object, odd, odd, st.integers(0, 2**60), st.sampled_from(ObjectState))), odd, odd)
def test_upsert_is_one_statement_with_every_row(objects: list[Object], token: str, deploy: str) -> None:
    statement = one(ledger_rows.upsert_objects_sql(ledger.STATIC, objects, token, deploy))
    rows = json.dumps(
        [
            {"p": o.path, "h": o.sha256, "s": o.size, "t": str(o.state), "f": "", "b": o.size_before}
            for o in objects
        ],
        separators=(",", ":"),
        ensure_ascii=False,
    )
    assert {rows, token, deploy} <= constants(statement)
    assert [t["ResTarget"]["name"] for t in statement.node["targetList"]] == ["held", "written"]


@given(st.lists(odd), odd)
def test_delete_is_one_statement_with_every_path(paths: list[str], token: str) -> None:
    statement = one(ledger_rows.delete_objects_sql(ledger.STORAGE, paths, token))
    assert {json.dumps(paths, separators=(",", ":"), ensure_ascii=False), token} <= constants(statement)


@given(st.dictionaries(odd, odd | st.lists(odd)), odd, odd)
def test_set_auth_is_one_statement(settings: dict[str, object], token: str, deploy: str) -> None:
    statement = one(ledger_rows.write_setting_sql("auth.magic_link", settings, token, deploy))
    text = json.dumps(settings, separators=(",", ":"), ensure_ascii=False)
    assert {text, token, deploy} <= constants(statement)


class FakeApi:
    """A fake API: records the statements and returns given rows."""

    def __init__(self, *answers: list[dict[str, object]]) -> None:
        self.statements: list[str] = []
        self._answers = list(answers)

    def sql(self, project: str, query: str) -> list[dict[str, object]]:
        self.statements.append(query)
        return self._answers.pop(0) if self._answers else [{"freed": 1}]


TAKEN = [{"answer": json.dumps({"taken": True, "stale": False, "other": None})}]


def held_by(holder: str) -> list[dict[str, object]]:
    other = {"holder": holder, "seconds": 20.0, "expiry": "1795000000.123456"}
    return [{"answer": json.dumps({"taken": False, "stale": True, "other": other})}]


@given(odd, odd, odd, odd, st.none() | odd)
def test_lease_sql_is_single_statements(
    holder: str, token: str, deploy: str, plan: str, environment: str | None
) -> None:
    api = FakeApi(TAKEN)
    claim = LeaseRequest("pod-1", holder, token, deploy, plan, 3, environment)
    assert list(lease.acquire_lease(api, claim, lease.WaitPolicy(0))) == []  # type: ignore[arg-type]
    lease.release_lease(api, claim, "done", {"done": [holder]})  # type: ignore[arg-type]
    acquisition, release = (one(text) for text in api.statements)
    assert {holder, token, deploy, plan, *([environment] if environment else [])} <= constants(acquisition)
    assert {
        token,
        deploy,
        json.dumps({"done": [holder]}, separators=(",", ":"), ensure_ascii=False),
    } <= constants(release)
    assert token in constants(one(lease_sql.renew_lease_sql(token)))
    expires = "1732406400.123456"
    assert {holder, expires} <= constants(one(lease_sql.remove_lease_sql(holder, expires, deploy)))
    run = LeaseRequest("pod-1", holder, token, deploy, plan, 3, environment, process={"host": holder})
    assert {holder, token} <= constants(one(lease_sql.acquire_lease_sql(run)))


@given(odd, odd)
def test_taking_over_a_lease_is_a_single_statement(holder: str, other: str) -> None:
    api = FakeApi(held_by(other), [{"freed": 1}], TAKEN)
    claim = LeaseRequest("pod-1", holder, "t", "d", "p", 3, None)
    [noted] = lease.acquire_lease(api, claim, lease.WaitPolicy(0, force_unlock=True))  # type: ignore[arg-type]
    assert other in noted.note.message  # type: ignore[union-attr]
    found = constants(one(api.statements[1]))
    assert {
        other,
        "1795000000.123456",
        json.dumps({"lock_taken_over_by": holder}, separators=(",", ":"), ensure_ascii=False),
    } <= found


# --- reading ---

ONE = Migration("1", "0001_a.sql", "c", "s", steps=2)
HOME = Object("index.html", "a" * 64, 3)
DESIRED = Snapshot(Project("p", "p"), migrations=(ONE,), static={"index.html": HOME}, storage={})


def facts(**over: object) -> str:
    given = {
        "version": 4,
        "serial": 4,
        "extensions": ["vector"],
        "migrations": None,
        "static": None,
        "storage": None,
    }
    return json.dumps({**given, "auth": None, "last": None, "lease": None, **over})


def test_null_means_the_same_as_desired() -> None:
    found, _ = ledger.parse_ledger(facts(), DESIRED)
    applied = Migration("1", "0001_a.sql", "c", "s", steps=2, steps_done=2)
    expected = Ledger(4, frozenset({"vector"}), (applied,), {"index.html": HOME}, {}, None, exists=True)
    assert replace(found, unproven={}) == expected


def test_rows_replace_what_is_desired() -> None:
    rows = facts(
        migrations=[["7", "7_x.sql", "c7", "s7", 3, 1, -2]],
        static=[["a", "b" * 64, 9, "pending", "", "", 4, None, 0]],
        storage=[],
    )
    found, _ = ledger.parse_ledger(rows, DESIRED)
    assert found.migrations == (Migration("7", "7_x.sql", "c7", "s7", 3, 1, step_begun=-2),)
    assert (found.static, found.storage) == (
        {"a": Object("a", "b" * 64, 9, ObjectState.PENDING, size_before=4)},
        {},
    )


def test_newer_tracking_tables_are_refused() -> None:
    with pytest.raises(
        TrackingTablesNewer,
        match=f"format {LEDGER_VERSION + 1}; this mosaic-deploy supports format {LEDGER_VERSION}",
    ):
        ledger.parse_ledger(facts(version=LEDGER_VERSION + 1), DESIRED)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"version": 1}', None])
def test_an_unreadable_ledger_is_an_error(text: object) -> None:
    with pytest.raises(ResponseInvalid, match="unexpected format"):
        ledger.parse_ledger(text, DESIRED)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "names"), [(None, set()), ('["a"]', {"a"}), (["a", "b"], {"a", "b"}), ("null", set())]
)
def test_extensions_as_list_or_text(found: object, names: set[str]) -> None:
    assert ledger.extensions(found) == names
