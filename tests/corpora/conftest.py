"""Real migration histories beside the repository; tests that want them are skipped where they aren't."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

FOLDER = Path(__file__).parents[2].parent / "shared" / "corpora"
CORPORA = json.loads((FOLDER / "corpora.json").read_text()) if FOLDER.exists() else []
HISTORIES = [corpus for corpus in CORPORA if corpus["kind"] == "migrations"]


@dataclass(frozen=True)
class Cluster:
    """The platform's PostgreSQL, as its superuser: what the histories' original frameworks were given."""

    bin: Path
    url: str
    api_url: str
    api_key: str

    def superuser(self, database: str, *statements: str) -> None:
        with psycopg.connect(f"{self.url}/{database}", autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def create_role(self, statement: str) -> None:
        with contextlib.suppress(psycopg.errors.DuplicateObject):
            self.superuser("postgres", statement)

    def credentials(self, project: str) -> dict[str, object]:
        url = f"{self.api_url}/v1/project/{project}/credentials"
        return httpx.get(url, headers={"X-API-Key": self.api_key}).json()

    def prepare(self, project: str, corpus: dict) -> str:
        """Does what the original framework does before its first migration; returns the database URL."""
        found = self.credentials(project)
        name = found["database"]
        before = [c for c in CORPORA if c["name"] == corpus["prerequisites"]["corpus_first"]]
        for one in [*before, corpus]:
            wanted = one["prerequisites"]
            for statement in ["CREATE ROLE postgres SUPERUSER", *wanted["sql_cluster"]]:
                self.create_role(statement)
            extensions = [f'CREATE EXTENSION IF NOT EXISTS "{e}"' for e in wanted.get("extensions", ())]
            self.superuser(
                name,
                *extensions,
                *(s.replace("CREATE SCHEMA", "CREATE SCHEMA IF NOT EXISTS") for s in wanted["sql_db"]),
            )
        self.superuser("postgres", f'ALTER ROLE "{found["user"]}" SUPERUSER')
        path = corpus["prerequisites"]["pgoptions"].removeprefix("-c search_path=")
        if path:
            self.superuser("postgres", f'ALTER DATABASE "{name}" SET search_path = {path}')
        return str(found["database_url"])

    def psql(self, url: str, files: Sequence[Path], *, one_transaction: bool) -> None:
        """Runs each file in a session of its own, as `psql -f` does, or `psql -1 -f`."""
        begin, commit = ("BEGIN;\n", "COMMIT;\n") if one_transaction else ("", "")
        script = "".join(f"\\connect\n{begin}\\i '{file}'\n{commit}" for file in files)
        arguments = [self.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", url]
        ended = subprocess.run(arguments, input=script, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr

    def dump(self, url: str) -> list[str]:
        """The schema without the ledger, with the role's name and random tokens taken out."""
        arguments = [self.bin / "pg_dump", "--schema-only", "--exclude-schema=mosaic_deploy", url]
        ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
        lines = ended.stdout.replace(url.rpartition("/")[2], "owner").splitlines()
        return [line for line in lines if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]

    def whole_dump(self, url: str, *options: str) -> str:
        """The text of a plain pg_dump, with its data."""
        database = url.rpartition("/")[2]
        ended = subprocess.run(
            [self.bin / "pg_dump", *options, f"{self.url}/{database}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


def psql_needs_one_transaction(corpus: dict) -> bool:
    """How psql has to be told to apply this history without an error or lost work."""
    return (
        "unbalanced-begin" in corpus["features"]
        or corpus["files_failing_on_postgresql_18"]["psql_f_autocommit"] > 0
    )


@pytest.fixture(scope="session")
def cluster(platform) -> Cluster:
    state = json.loads((platform.home / "state.json").read_text())
    folder = Path(state["postgres_folder"])
    binaries = next(folder.glob("installation-*/**/bin/pg_dump")).parent
    url = f"postgresql://mosaic:{state['postgres_password']}@127.0.0.1:{state['postgres_port']}"
    return Cluster(binaries, url, platform.url, platform.api_key)
