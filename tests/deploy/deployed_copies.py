"""Copies of databases to which some SQL was deployed: tests that begin with the same deploy needn't repeat it.

PostgreSQL copies a database several times faster than a deploy makes one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from started_platform import control_database

_TERMINATE = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
_OTHER_STATE = """SELECT
  (SELECT array_agg(s::text ORDER BY s::text) FROM pg_db_role_setting s WHERE setrole = (%(role)s::regrole)::oid),
  (SELECT status || auth_settings::text FROM project WHERE id = %(id)s),
  (SELECT count(*) FROM static_file WHERE project_id = %(id)s) + (SELECT count(*) FROM stored_file WHERE project_id = %(id)s)"""


Migration = tuple[str, str]
"""The path of a file, and its text."""


@dataclass(frozen=True)
class _Copied:
    name: str
    project_id: str
    other_state: object

    @property
    def database(self) -> str:
        return "tenant_" + self.project_id.replace("-", "_")

    @property
    def copy(self) -> str:
        return f"copy_of_{self.database}"


@dataclass
class DeployedCopies:
    """Of one module's tests. The second deploy of a migration is copied, so one that a single test has costs nothing."""

    home: Path
    _uses: Counter[Migration] = field(default_factory=Counter)
    _copied: dict[Migration, _Copied] = field(default_factory=dict)

    def keep(self, migration: Migration, name: str, project_id: str) -> None:
        """Copies the project's database, to which just the migration was deployed, if an earlier test has done that, too."""
        self._uses[migration] += 1
        if self._uses[migration] > 1:
            with control_database(self.home) as connection:
                other = _other_state(connection, project_id)
                made = self._copied[migration] = _Copied(name, project_id, other)
                _copy(connection, made.database, made.copy, made.database)

    def take(self, migration: Migration) -> str | None:
        """The name of a project whose database is again as after the deploy of just the migration; None if there is none."""
        found = self._copied.get(migration)
        if found is None:
            return None
        with control_database(self.home) as connection:
            # What a test has changed besides the database stays.
            if _other_state(connection, found.project_id) != found.other_state:
                self._drop(connection, self._copied.pop(migration))
                return None
            _execute(connection, "DROP DATABASE {} WITH (FORCE)", found.database)
            _copy(connection, found.copy, found.database, found.database)
        return found.name

    def drop_all(self) -> None:
        if self._copied:
            with control_database(self.home) as connection:
                for each in self._copied.values():
                    self._drop(connection, each)

    def _drop(self, connection: psycopg.Connection, copied: _Copied) -> None:
        _execute(connection, "DROP DATABASE {}", copied.copy)


@contextmanager
def deployed_copies_in(home: Path) -> Iterator[DeployedCopies]:
    copies = DeployedCopies(home)
    yield copies
    copies.drop_all()


def _other_state(connection: psycopg.Connection, project_id: str) -> object:
    """What tests may change of a project besides its database."""
    role = "tenant_" + project_id.replace("-", "_")
    exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    if exists is None:
        return None
    return connection.execute(_OTHER_STATE, {"role": role, "id": project_id}).fetchone()


def _copy(connection: psycopg.Connection, source: str, target: str, owner: str) -> None:
    """As the platform makes a project's database."""
    connection.execute(_TERMINATE, [source])
    made = "CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY ALLOW_CONNECTIONS false"
    _execute(connection, made, target, source, owner)
    _execute(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", target)
    _execute(connection, "ALTER DATABASE {} ALLOW_CONNECTIONS true", target)


def _execute(connection: psycopg.Connection, statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
