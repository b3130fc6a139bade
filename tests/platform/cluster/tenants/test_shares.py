"""No account takes what belongs to all: locks, connections, disk, projects."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from served import Served, query, run, serve
from served_requests import create, upload, wait_until

from mosaic_deploy.platform.postgres.server import MAINTENANCE_CONNECTIONS
from mosaic_deploy.platform.tenants import database_sizes
from mosaic_deploy.platform.tenants.offences import (
    AccountShare,
    Offence,
    OpenTransaction,
    PredicateLocks,
    Role,
    Session,
    accounts_over,
    find_offences,
    keepers_to_end,
    makers_of_predicate_locks,
    possible_keepers,
    too_many_predicate_locks,
)
from mosaic_deploy.platform.tenants.predicate_locks import RecentOffenders, RecentPredicateLocks

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def served(services) -> Iterator[Served]:
    limits = ("--limit", "pro-database=50MB", "--limit", "pro-projects=12", "--limit", "pro-static=1MB")
    # Creates the bucket.
    assert run(services, "prepare", *services.arguments)["status"] == "prepared"
    with serve(services, *limits, "--connections", "12") as served:
        yield served


@pytest.fixture(scope="module")
def good(served, key) -> Iterator[tuple[httpx.Client, str]]:
    with served.client(key) as client:
        yield client, create(client, "Good")


@pytest.fixture
def hostile(services, served) -> Iterator[httpx.Client]:
    """Of an account of its own."""
    account = run(services, "account-create", "Hostile", "--tier", "pro")
    with served.client(account["api_key"]) as client:
        yield client


def sql(client: httpx.Client, project_id: str, text: str) -> httpx.Response:
    return client.post(f"/v1/project/{project_id}/sql", json={"query": text})


def _credentials(client: httpx.Client, project_id: str) -> dict[str, Any]:
    document: dict[str, Any] = client.get(f"/v1/project/{project_id}/credentials").json()
    return document


def test_a_role_that_fills_the_lock_table_is_suspended(services, good, hostile) -> None:
    """It used to stop everybody: no statement, not even a login works once the table is full."""
    client, good_id = good
    project_id = create(hostile, "Locks")
    with (
        contextlib.suppress(psycopg.Error),
        psycopg.connect(_credentials(hostile, project_id)["database_url"], autocommit=True) as session,
    ):
        for _ in range(200):
            session.execute("SELECT pg_sleep(0.1)")
            with contextlib.suppress(psycopg.errors.OutOfMemory):
                session.execute("SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 1000000) AS n")
        raise AssertionError("its session is still alive")
    wait_until(lambda: sql(hostile, project_id, "SELECT 1").status_code == 429)
    refused = sql(hostile, project_id, "SELECT 1")
    assert refused.json()["error"]["code"] == "database_suspended"
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "an account may hold" in refused.json()["error"]["message"]
    assert sql(client, good_id, "SELECT 1").status_code == 200
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(_credentials(hostile, project_id)["database_url"])
    control = services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")
    query(control, f"UPDATE project SET suspended_until = now() WHERE id = '{project_id}'")
    wait_until(lambda: sql(hostile, project_id, "SELECT 1").status_code == 200)


def test_a_session_elsewhere_is_ended(hostile) -> None:
    """PostgreSQL lets everybody into `postgres`; nothing there is counted."""
    project_id = create(hostile, "Elsewhere")
    url = _credentials(hostile, project_id)["database_url"].rpartition("/")[0] + "/postgres"
    with psycopg.connect(url, autocommit=True) as session, pytest.raises(psycopg.OperationalError):
        for _ in range(300):
            session.execute("SELECT pg_sleep(0.1)")


def test_one_accounts_calls_leave_room_for_others(good, hostile) -> None:
    client, good_id = good
    ids = [create(hostile, f"Waiting {number}") for number in range(2)]
    with ThreadPoolExecutor(12) as threads, contextlib.ExitStack() as gates:
        for project_id in ids:
            gate = psycopg.connect(_credentials(hostile, project_id)["database_url"])
            gates.enter_context(gate)
            gate.execute("CREATE TABLE gate ()")
            gate.commit()
            gate.execute("LOCK gate")
        running = [
            threads.submit(sql, hostile, ids[number % 2], "SELECT count(*) FROM gate") for number in range(12)
        ]
        # A sixth of the 12 connections, and those that hold the gates.
        wait_until(lambda: _sessions(client, good_id, ids) >= 4)
        assert sql(client, good_id, "SELECT 1").status_code == 200
        assert _sessions(client, good_id, ids) == 4
        assert not any(one.done() for one in running)
        gates.close()
        assert [one.result().status_code for one in running] == [200] * 12


def _sessions(client: httpx.Client, asking: str, projects: list[str]) -> int:
    """Sessions of these projects. Their statements are hidden from others, not their being there."""
    names = ", ".join(f"'tenant_{name.replace('-', '_')}'" for name in projects)
    text = f"SELECT count(*) AS n FROM pg_stat_activity WHERE usename IN ({names})"
    return int(sql(client, asking, text).json()["rows"][0]["n"])


def test_connections_of_the_platform_have_an_upper_bound(services, good, hostile) -> None:
    """Projects created at the same time used to take a connection or three each."""
    client, good_id = good
    most = 0
    with ThreadPoolExecutor(10) as threads:
        made = [
            threads.submit(hostile.post, "/v1/project/projects", json={"name": f"Many {number}"})
            for number in range(14)
        ]
        for one in made:
            one.result()
        codes = [one.result().status_code for one in made]
    assert codes.count(201) == 12 and codes.count(403) == 2
    refused = next(one.result().json() for one in made if one.result().status_code == 403)
    assert refused["error"]["code"] == "project_limit_reached"

    def all_running() -> bool:
        nonlocal most
        text = "SELECT count(*) AS n FROM pg_stat_activity WHERE usename = 'operator'"
        most = max(most, int(sql(client, good_id, text).json()["rows"][0]["n"]))
        listed = hostile.get("/v1/project/projects").json()["projects"]
        return all(one["status"] == "running" for one in listed)

    wait_until(all_running)
    # The control database's ten, and those besides.
    assert most <= 10 + MAINTENANCE_CONNECTIONS


def test_a_database_beyond_its_limit(services, hostile) -> None:
    project_id = create(hostile, "Large")
    fill = "CREATE TABLE {} AS SELECT n, repeat('x', 1000) AS x FROM generate_series(1, {}) AS n"
    sql(hostile, project_id, fill.format("a", 40_000)).raise_for_status()

    def state() -> str:
        answer = sql(hostile, project_id, "INSERT INTO a VALUES (0, '')")
        error = answer.json().get("error", {})
        return str(error.get("sqlstate") or error.get("code"))

    wait_until(lambda: state() == "25006")
    # It can still make room.
    assert sql(hostile, project_id, "BEGIN READ WRITE; DELETE FROM a WHERE n = 1; COMMIT").status_code == 200
    made = sql(hostile, project_id, "BEGIN READ WRITE; " + fill.format("b", 30_000) + "; COMMIT")
    assert made.status_code == 200, made.text
    wait_until(lambda: state() == "database_quota_exceeded")
    assert hostile.delete(f"/v1/project/projects/{project_id}").status_code == 200


def test_a_database_that_is_read_only_by_its_own_setting_is_left_alone(services, hostile) -> None:
    project_id = create(hostile, "Read-only")
    name = f"tenant_{project_id.replace('-', '_')}"
    changed = sql(
        hostile, project_id, f"ALTER ROLE {name} IN DATABASE {name} SET default_transaction_read_only = on"
    )
    assert changed.status_code == 200, changed.text
    control = services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")
    selected = f"SELECT read_only FROM ({database_sizes._SIZES}) AS sizes WHERE id = '{project_id}'"
    assert query(control, selected) == [(False,)]
    assert hostile.delete(f"/v1/project/projects/{project_id}").status_code == 200


def test_no_role_evades_the_limit_of_its_database(services, hostile) -> None:
    """By hiding its size from the platform, or by locks on what the platform changes; nor does that save the others."""
    harm = {
        "Hidden": "REVOKE CONNECT ON DATABASE {role} FROM {role}",
        "Password": "BEGIN; ALTER ROLE {role} PASSWORD 'x'",
        # In a table that all databases share.
        "Comment": "DO $$BEGIN EXECUTE format('COMMENT ON DATABASE {role} IS %L', (SELECT string_agg("
        "gen_random_uuid()::text, '') FROM generate_series(1, 1900000))); END$$",
        "Setting": "BEGIN; ALTER ROLE {role} SET work_mem = '5MB'",
    }
    fill = "CREATE TABLE a AS SELECT n, repeat('x', 1000) AS x FROM generate_series(1, {}) AS n"
    with contextlib.ExitStack() as closing:
        roles = []
        for name, statement in harm.items():
            credentials = _credentials(hostile, create(hostile, name))
            # The last one is a little too large, and can only become read-only.
            rows = {"Setting": 40_000, "Comment": 1}.get(name, 60_000)
            session = _session_after(credentials["database_url"], fill.format(rows))
            closing.callback(session.close)
            with contextlib.suppress(psycopg.OperationalError):
                session.execute(statement.format(role=credentials["user"]).encode())
            roles.append(credentials["user"])
        honest = create(hostile, "Honest")
        _session_after(_credentials(hostile, honest)["database_url"], fill.format(60_000)).close()
        url = services.environment["MOSAIC_DATABASE_URL"]
        refused = "SELECT rolname FROM pg_roles WHERE NOT rolcanlogin AND starts_with(rolname, 'tenant_')"
        read_only = "SELECT setrole::regrole::text FROM pg_db_role_setting WHERE 'default_transaction_read_only=on' = ANY(setconfig)"
        expected = {*roles[:-1], f"tenant_{honest.replace('-', '_')}"}
        wait_until(lambda: expected <= {name for (name,) in query(url, refused)})
        wait_until(lambda: (roles[-1],) in query(url, read_only))
        for role in roles:
            assert query(url, f"SELECT 1 FROM pg_stat_activity WHERE usename = '{role}'") == []


def _session_after(url: str, statement: str) -> psycopg.Connection[Any]:
    """A session that has committed the statement. The limit may end one before that: then another one tries again.

    If it ends one after that, the role can't log in any more, and the session is closed.
    """
    session: psycopg.Connection[Any] | None = None
    for _ in range(20):
        try:
            session = psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError as error:
            if session is None or "not permitted to log in" not in str(error):
                raise
            return session
        try:
            session.execute(statement.encode())
        except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction):
            session.close()
            time.sleep(0.5)
        else:
            return session
    raise AssertionError("no session could commit")


def test_static_files_beyond_their_limit(hostile) -> None:
    project_id = create(hostile, "Static")

    def put(name: str, size: int) -> httpx.Response:
        body = {"filename": name, "content": "x" * size}
        return hostile.post(f"/v1/project/{project_id}/files", json=body)

    # Replacing a file doesn't count twice.
    assert [put("a.txt", 400_000).status_code for _ in range(4)] == [201] * 4
    assert put("b.txt", 400_000).status_code == 201
    refused = put("c.txt", 400_000)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "static_quota_exceeded")
    assert hostile.delete(f"/v1/project/{project_id}/files/b.txt").status_code == 200
    assert put("c.txt", 400_000).status_code == 201
    # Nor do several at the same time fit.
    project_id = create(hostile, "Static, at once")
    with ThreadPoolExecutor(10) as threads:
        codes = list(threads.map(lambda n: put(f"{n}.txt", 400_000).status_code, range(10)))
    assert set(codes) == {201, 413}
    assert codes.count(201) <= 2


def test_empty_storage_files_beyond_their_number(services, hostile) -> None:
    project_id = create(hostile, "Empty")
    assert upload(hostile, project_id, "a.txt", b"").status_code == 200
    control = services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")
    query(
        control,
        "INSERT INTO stored_file (project_id, filename, size, content_type, etag, object)"
        f" SELECT '{project_id}', n::text, 0, 'text/plain', '', '' FROM generate_series(2, 100000) AS n",
    )
    refused = upload(hostile, project_id, "b.txt", b"")
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "storage_quota_exceeded")
    # One that is there can be replaced.
    assert upload(hostile, project_id, "a.txt", b"").status_code == 200


def test_tickets_of_an_account_per_day(hostile) -> None:
    """The platform keeps them, so they are space, too."""
    ticket = {"subject": "Help", "message": "x" * 100_000}
    with ThreadPoolExecutor(8) as threads:
        sent = list(
            threads.map(lambda _: hostile.post("/v1/project/tickets", json=ticket).status_code, range(60))
        )
    assert (sent.count(201), sent.count(429)) == (50, 10)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        # Half of a project's thousand to one address, however it is written.
        ("SELECT {project}, 'Ann@Example.com' FROM generate_series(1, 499)", None),
        (
            "SELECT {project}, 'ann@example.com' FROM generate_series(1, 500)",
            "one address gets 500 emails a day",
        ),
        ("SELECT {project}, n || '@example.com' FROM generate_series(1, 999) AS n", None),
        (
            "SELECT {project}, n || '@example.com' FROM generate_series(1, 1000) AS n",
            "sends 1000 emails a day",
        ),
        # More projects don't make it more than five thousand.
        ("SELECT {other}, n || '@example.com' FROM generate_series(1, 5000) AS n", "sends 5000 emails a day"),
    ],
)
def test_emails_to_an_address_and_of_an_account(services, hostile, rows, words) -> None:
    project_id, other = (create(hostile, name) for name in ("Mailing", "Mailing, too"))
    control = services.environment["MOSAIC_DATABASE_URL"].replace("/postgres", "/mosaic_control")
    query(
        control,
        "INSERT INTO mail_count (project_id, recipient) "
        + rows.format(project=f"'{project_id}'", other=f"'{other}'").replace(
            "Ann@Example.com", "ann@example.com"
        ),
    )
    answer = hostile.post(f"/v1/project/{project_id}/auth/magic-link", json={"email": "ANN@example.com"})
    if words is None:
        # Not sent, because nobody listens at the mail server's address.
        assert answer.json()["error"]["code"] == "email_not_sent"
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "email_limit_reached")
        assert words in answer.json()["error"]["message"]


ROLES = {
    number: Role(number, f"p-{number}", account, frozenset({number}))
    for number, account in ((1, 7), (2, 7), (3, 8))
}
SHARE = AccountShare(locks=100, predicate_locks=50, sessions=2)


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        ([], []),
        ([Session(1, 1, 1, 100, 1.0)], []),
        ([Session(1, 1, 1, 101, 1.0)], [Offence(ROLES[1], (1,), 101)]),
        # The account's projects count together; the one that holds the most goes first.
        ([Session(1, 1, 1, 40, 1.0), Session(2, 2, 2, 61, 1.0)], [Offence(ROLES[2], (2,), 61)]),
        ([Session(1, 1, 1, 60, 1.0), Session(3, 3, 3, 60, 1.0)], []),
        # The newest go.
        (
            [Session(1, 1, 1, 0, 3.0), Session(2, 2, 2, 0, 1.0), Session(3, 1, 1, 0, 2.0)],
            [Offence(ROLES[1], (1,))],
        ),
        ([Session(1, 1, 99, 0, 1.0)], [Offence(ROLES[1], (1,))]),
        # No project's.
        ([Session(1, 9, 99, 1000, 1.0)], []),
    ],
)
def test_who_holds_too_much(sessions, expected) -> None:
    assert find_offences(sessions, ROLES, SHARE) == expected


WRITING, LONG, OTHERS = OpenTransaction(1, 1, 0.9), OpenTransaction(2, 2, 1.1), OpenTransaction(3, 3, 0.9)


@pytest.mark.parametrize(
    ("locks", "too_many"),
    [
        ({1: 50, 3: 50}, False),
        # Of an account, or half of the server's. Also those of a database that is no project's, or dropped.
        ({1: 51}, True),
        ({1: 20, 2: 31}, True),
        ({1: 40, 3: 40, 99: 21}, True),
    ],
)
def test_too_many_predicate_locks(locks, too_many) -> None:
    assert (
        too_many_predicate_locks(locks, accounts_over(locks, ROLES, SHARE.predicate_locks), SHARE) == too_many
    )


@pytest.mark.parametrize(
    ("transactions", "expected"),
    [
        ([], (False, [])),
        ([WRITING], (False, [Offence(ROLES[1], (1,))])),
        # Whoever keeps them for long is to blame, in whichever database.
        ([WRITING, LONG, OTHERS], (True, [Offence(ROLES[2], (2,))])),
        ([WRITING, OTHERS], (False, [Offence(ROLES[1], (1,)), Offence(ROLES[3], (3,))])),
        # Not the platform's own transactions, nor others'.
        ([OpenTransaction(4, 99, 60.0)], (False, [])),
    ],
)
def test_whose_transactions_keep_predicate_locks(transactions, expected) -> None:
    assert keepers_to_end(transactions, ROLES) == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({1: 50, 3: 50}, []),
        ({1: 51, 3: 50}, [Offence(ROLES[1], (), 51)]),
        ({1: 20, 2: 31}, [Offence(ROLES[2], (), 31)]),
    ],
)
def test_who_made_too_many_predicate_locks(made, expected) -> None:
    assert makers_of_predicate_locks(made, ROLES, SHARE) == expected


def test_who_may_keep_predicate_locks_unseen() -> None:
    """Those with a snapshot, an account's at a time. Whoever was found once doesn't make others' end again."""
    oldest = OpenTransaction(5, 3, 9.0)
    transactions = [WRITING, LONG, oldest, OTHERS, OpenTransaction(4, 99, 60.0)]
    assert possible_keepers(transactions, ROLES, {}) == [[oldest], [LONG]]
    assert possible_keepers(transactions, ROLES, {7: 1}) == [[LONG], [oldest]]


def test_which_predicate_locks_remain() -> None:
    before = PredicateLocks({1: 90}, {"3/1": 40, "3/2": 20, "-1/0": 30})
    after = PredicateLocks({1: 90}, {"3/1": 40, "3/3": 20, "-1/0": 35})
    assert before.remaining(after) == 70


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([(0.0, 900)], 0),
        ([(0.0, 100), (0.25, 150), (0.5, 170)], 70),
        # What is older doesn't count, nor do those that were released meanwhile.
        ([(0.0, 0), (0.5, 500), (1.0, 510), (1.5, 520)], 20),
        ([(0.0, 500), (0.5, 10), (1.0, 60)], 50),
        # The watch was held up.
        ([(0.0, 0), (4.0, 400)], 100),
        ([(0.0, 500), (0.5, 400)], 0),
    ],
)
def test_how_many_predicate_locks_were_made_lately(calls, expected) -> None:
    recent = RecentPredicateLocks()
    added = [recent.add(PredicateLocks({1: held}, {}), at) for at, held in calls]
    assert added[-1].by_database == {1: expected}


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([(0.0, {"3/1": 40})], {}),
        ([(0.0, {"3/1": 40}), (0.9, {"3/1": 40})], {}),
        ([(0.0, {"3/1": 40, "-1/0": 10}), (0.5, {"3/1": 40, "3/2": 20}), (1.1, {"3/1": 30, "3/2": 20, "-1/0": 15})],
         {"3/1": 30, "-1/0": 10}),
        ([(0.0, {"3/1": 40}), (1.0, {}), (2.0, {"3/2": 40})], {}),
    ],
)  # fmt: skip
def test_which_predicate_locks_are_kept_for_long(calls, expected) -> None:
    recent = RecentPredicateLocks()
    added = [recent.add(PredicateLocks({}, committed), at) for at, committed in calls]
    assert added[-1].lasting.committed == expected


@pytest.mark.parametrize(("last", "often"), [(13.0, {7}), (20.0, set())])
def test_an_account_that_is_over_its_share_again_and_again(last, often) -> None:
    offenders = RecentOffenders()
    assert offenders.add({7, 8}, 0.0) == set()
    assert offenders.add({7}, 6.0) == set()
    assert offenders.add({7, 8}, last) == often
