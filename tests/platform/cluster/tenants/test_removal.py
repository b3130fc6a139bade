"""Projects can be deleted, and locks work, whatever a project's role does on a PostgreSQL that isn't ours to configure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from served import Served, query, run, serve
from served_requests import await_running, create, wait_until

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def served(services) -> Iterator[Served]:
    # Creates the bucket.
    assert run(services, "prepare", *services.arguments)["status"] == "prepared"
    with serve(services) as served:
        yield served


@pytest.fixture
def client(served, key) -> Iterator[httpx.Client]:
    with served.client(key) as client:
        yield client


class Tenant:
    """A project's role, and the sessions that it opens."""

    def __init__(self, client: httpx.Client, closing: contextlib.ExitStack, name: str) -> None:
        self._client = client
        self._closing = closing
        self.id = create(client, name)
        self.credentials: dict[str, Any] = client.get(f"/v1/project/{self.id}/credentials").json()
        self.role = str(self.credentials["user"])

    def session(self, database: str = "", *, autocommit: bool = True) -> psycopg.Connection:
        url = self.credentials["database_url"].rpartition("/")[0] + "/" + (database or self.role)
        connection = psycopg.connect(url, autocommit=autocommit)
        self._closing.callback(connection.close)
        return connection

    def execute(self, statement: str, database: str = "") -> psycopg.Connection:
        """In a transaction that stays open."""
        connection = self.session(database, autocommit=False)
        connection.execute(statement.encode())
        return connection

    def commit(self, statements: str, database: str = "") -> None:
        """As one transaction, again if the platform ended the session, as it does with those in databases of others."""
        for _ in range(10):
            with contextlib.suppress(psycopg.errors.AdminShutdown):
                self.session(database).execute(statements.encode())
                return
        raise AssertionError("each session was ended")

    def delete(self) -> int:
        return self._client.delete(f"/v1/project/projects/{self.id}").status_code


@pytest.fixture
def tenants(client) -> Iterator[Callable[[str], Tenant]]:
    with contextlib.ExitStack() as closing:
        yield lambda name: Tenant(client, closing, name)


def test_the_platforms_locks_are_out_of_reach(services, client, tenants) -> None:
    """They used to be in `postgres`, which everybody may connect to: nobody could delete or create anything."""
    tenant, other = tenants("Locking"), tenants("Other")
    for database in ("postgres", "template1", tenant.role):
        held = tenant.session(database)
        # In a database that isn't its own, the platform may end it at once.
        with contextlib.suppress(psycopg.OperationalError):
            for name in ("7700", f"7702, hashtext('{other.id}')", "7701"):
                held.execute(f"SELECT pg_advisory_lock({name})".encode())
    assert run(services, "account-list")["exit_code"] == 0
    assert other.delete() == 200
    await_running(client, create(client, "New"))


def test_nobody_but_the_platform_connects_to_its_databases(services, tenants) -> None:
    tenant = tenants("Outside")
    for database in ("mosaic_control", "mosaic_template"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            tenant.session(database)


def test_no_function_of_a_role_runs_with_the_platforms_rights(services, client, tenants) -> None:
    """A server upgraded from version 14 lets everybody create functions in `postgres`: one that fits better than PostgreSQL's
    own used to be called by the platform, and could give its author every project."""
    tenant, other = tenants("Shadowing"), tenants("Deleted")
    superuser = services.environment["MOSAIC_DATABASE_URL"].replace("//operator", "//root")
    query(superuser, "GRANT CREATE ON SCHEMA public TO PUBLIC")
    try:
        body = "LANGUAGE sql AS $$INSERT INTO public.caught VALUES (current_user); SELECT {}$$"
        shadow = "CREATE FUNCTION public.{}(name, text) RETURNS bool " + body
        statements = [
            "CREATE TABLE public.caught (who text); GRANT ALL ON public.caught TO PUBLIC",
            shadow.format("starts_with", "pg_catalog.starts_with($1::text, $2)"),
            shadow.format("equal", "$1::text OPERATOR(pg_catalog.=) $2"),
            "CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = text, FUNCTION = public.equal)",
            f"CREATE FUNCTION public.pg_terminate_backend(int, int) RETURNS bool {body.format('true')}",
        ]
        tenant.commit("; ".join(statements), "postgres")
        assert other.delete() == 200
        _assert_gone(services, other)
        assert run(services, "rotate-password", tenant.id)["exit_code"] == 0
        await_running(client, create(client, "New"))
        assert query(superuser, "SELECT * FROM public.caught") == []
    finally:
        query(superuser, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        assert tenant.delete() == 200


HARM: dict[str, Callable[[Tenant, Tenant], object]] = {
    "a large object in the maintenance database": lambda one, _: one.commit(
        "SELECT lo_from_bytea(0, 'x')", "postgres"
    ),
    "a temporary table there": lambda one, _: one.execute("CREATE TEMP TABLE t (a int)", "postgres"),
    "a template": lambda one, _: one.commit(f"ALTER DATABASE {one.role} WITH IS_TEMPLATE true"),
    "a closed database": lambda one, _: one.commit(
        f"ALTER DATABASE {one.role} WITH ALLOW_CONNECTIONS false CONNECTION LIMIT 0", "postgres"
    ),
    "no rights on its database": lambda one, _: one.commit(
        f"REVOKE ALL ON DATABASE {one.role} FROM {one.role}"
    ),
    "a library that doesn't exist": lambda one, _: one.commit(
        f"ALTER DATABASE {one.role} SET local_preload_libraries = 'nowhere';"
        f" ALTER ROLE {one.role} SET local_preload_libraries = 'nowhere'",
    ),
    "a lock on its own role": lambda one, _: one.execute(f"ALTER ROLE {one.role} SET work_mem = '4MB'"),
    "a lock on its password": lambda one, _: one.execute(f"ALTER ROLE {one.role} PASSWORD 'x'"),
    "a lock on its database": lambda one, _: one.execute(
        f"COMMENT ON DATABASE {one.role} IS 'x'", "postgres"
    ),
    "a table in use": lambda one, _: one.execute("CREATE TABLE t (a int); LOCK TABLE t"),
    "a grant in another project": lambda one, other: other.commit(
        f"CREATE TABLE IF NOT EXISTS t (a int); GRANT ALL ON t TO {one.role}; GRANT ALL ON DATABASE {other.role} TO {one.role}"
    ),
    "a policy in another project": lambda one, other: other.commit(
        f"CREATE TABLE p (a int); CREATE POLICY p ON p TO {one.role}"
    ),
    "a member": lambda one, other: other.commit(
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {one.role}"
    ),
}


@pytest.fixture(scope="module")
def neighbour(served, key) -> Iterator[Tenant]:
    with served.client(key) as client, contextlib.ExitStack() as closing:
        yield Tenant(client, closing, "Neighbour")


@pytest.mark.parametrize("harm", HARM)
def test_a_deletion_always_completes(services, client, tenants, neighbour, harm) -> None:
    tenant = tenants("Deleted")
    # A session in another database may be ended before it has done anything.
    with contextlib.suppress(psycopg.OperationalError):
        HARM[harm](tenant, neighbour)
    assert tenant.delete() == 200
    _assert_gone(services, tenant)
    # The neighbour keeps its own.
    answer = client.post(f"/v1/project/{neighbour.id}/sql", json={"query": "SELECT 1 AS one"})
    assert answer.json()["rows"] == [{"one": 1}]


def test_a_prepared_transaction_is_rolled_back(services, tenants) -> None:
    tenant = tenants("Prepared")
    session = tenant.session()
    if session.execute("SHOW max_prepared_transactions").fetchone() == ("0",):
        pytest.skip("PostgreSQL's default allows none")
    session.execute("BEGIN; CREATE TABLE t (a int); PREPARE TRANSACTION 'open'")
    assert tenant.delete() == 200
    _assert_gone(services, tenant)


def test_a_role_that_reconnects_all_the_time_is_shut_out(services, tenants) -> None:
    tenant = tenants("Reconnecting")
    stop = False

    def reconnect() -> None:
        while not stop:
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(
                    tenant.credentials["database_url"].rpartition("/")[0] + "/postgres"
                ) as connection,
            ):
                connection.execute("SELECT pg_sleep(0.01)")

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(reconnect) for _ in range(4)]
        try:
            assert tenant.delete() == 200
        finally:
            stop = True
            for one in running:
                one.result()
    _assert_gone(services, tenant)


def test_a_role_that_cant_be_dropped_yet_frees_its_name(services, client, tenants, neighbour) -> None:
    """Here a database that lets nobody in has a grant for it. The role is dropped once that is gone."""
    tenant = tenants("Kept")
    neighbour.commit(f"CREATE TABLE kept (a int); GRANT ALL ON kept TO {tenant.role}")
    neighbour.commit(f"ALTER DATABASE {neighbour.role} WITH ALLOW_CONNECTIONS false", "postgres")
    assert tenant.delete() == 200
    control = services.environment["MOSAIC_DATABASE_URL"]
    aside = "SELECT rolcanlogin FROM pg_roles WHERE rolname LIKE 'mosaic\\_dropped\\_%'"
    _assert_gone(services, tenant)
    assert query(control, aside) == [(False,)]
    neighbour.commit(f"ALTER DATABASE {neighbour.role} WITH ALLOW_CONNECTIONS true", "postgres")
    wait_until(lambda: query(control, aside) == [])


def _assert_gone(services, tenant: Tenant) -> None:
    """Nobody can log in any more; the rest follows, at the latest when a worker looks for unfinished deletions."""
    with pytest.raises(psycopg.OperationalError):
        tenant.session()
    url = services.environment["MOSAIC_DATABASE_URL"]
    wait_until(lambda: not query(url, f"SELECT 1 FROM pg_database WHERE datname = '{tenant.role}'"))
    wait_until(lambda: not query(url, f"SELECT 1 FROM pg_roles WHERE rolname = '{tenant.role}'"))


def test_a_role_cant_lock_itself_out_of_sql(client, tenants) -> None:
    tenant = tenants("Bricked")
    for statement in (
        f"ALTER ROLE {tenant.role} SET local_preload_libraries = 'nowhere'",
        f"ALTER ROLE {tenant.role} IN DATABASE {tenant.role} SET local_preload_libraries = 'nowhere'",
        f"ALTER DATABASE {tenant.role} SET local_preload_libraries = 'nowhere'",
        f"ALTER ROLE {tenant.role} SET idle_session_timeout = 1",
        f"ALTER ROLE {tenant.role} SET statement_timeout = 1",
        f"ALTER ROLE {tenant.role} SET idle_in_transaction_session_timeout = 1",
        f"ALTER ROLE {tenant.role} PASSWORD 'x'",
    ):
        sent = client.post(f"/v1/project/{tenant.id}/sql", json={"query": statement})
        assert sent.status_code == 200, sent.text
        # The setting counts from the next session on.
        client.post(
            f"/v1/project/{tenant.id}/sql", json={"query": "SELECT pg_terminate_backend(pg_backend_pid())"}
        )
        for _ in range(3):
            answer = client.post(
                f"/v1/project/{tenant.id}/sql", json={"query": "SELECT pg_sleep(0.01), 1 AS one"}
            )
            assert answer.status_code == 200, (statement, answer.text)
