"""Real histories: what a rehearsal reports for each file is the difference of two dumps of a database that psql made."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from mosaic_deploy.deploy.rehearsal import pending
from mosaic_deploy.live.database.clones import open_rehearsal
from mosaic_deploy.model.catalog import RehearsedChange, SchemaObject
from tests.corpora.conftest import CORPORA, FOLDER, HISTORIES, psql_needs_one_transaction
from tests.corpora.dumped_schema import Dumped, Key, dumped_objects, words
from tests.deploy.conftest import Site, api, site  # noqa: F401 - fixtures
from tests.deploy.rehearsal.conftest import Rehearser

pytestmark = [
    pytest.mark.skipif(not HISTORIES, reason="the corpora are not beside the repository"),
    pytest.mark.timeout(900),
]
_IN_NEW_TABLE = ("column", "constraint", "sequence", "comment")
SMALL = ("graphile-worker", "svix", "umami", "vaultwarden")


@pytest.fixture
def superuser(site: Site, cluster) -> Iterator[None]:  # noqa: F811
    """The role of rehearsals may do what the histories' own frameworks may."""
    database = open_rehearsal(site.api, [])
    database.drop()
    cluster.superuser("postgres", f'ALTER ROLE "{database.owner}" SUPERUSER')
    yield
    cluster.superuser("postgres", f'ALTER ROLE "{database.owner}" NOSUPERUSER')


def numbered_files(corpus: dict) -> list[tuple[str, str]]:
    """Names and texts: what the framework makes first, the history before it, and the history."""
    first = [each for each in CORPORA if each["name"] == corpus["prerequisites"]["corpus_first"]]
    texts = [setup(each) for each in (*first, corpus)]
    for one in first:
        path = search_path(one)
        texts += [f"SET search_path = {path};\n{text}" for text in read_texts(one)]
    texts += read_texts(corpus)
    return [(f"{number:04}__file.sql", text) for number, text in enumerate(texts, 1)]


def search_path(corpus: dict) -> str:
    return str(corpus["prerequisites"]["pgoptions"]).removeprefix("-c search_path=")


def read_texts(corpus: dict) -> list[str]:
    return [file.read_text() for file in sorted((FOLDER / corpus["dir"]).glob("*.sql"))]


def setup(corpus: dict) -> str:
    wanted = corpus["prerequisites"]
    statements = [f'CREATE EXTENSION IF NOT EXISTS "{each}"' for each in wanted.get("extensions", ())]
    statements += [each.replace("CREATE SCHEMA", "CREATE SCHEMA IF NOT EXISTS") for each in wanted["sql_db"]]
    if path := search_path(corpus):
        statements.append(
            f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = {path}', current_database()); END $$"
        )
    return ";\n".join([*statements, "SELECT 1"]) + ";\n"


class Reference:
    """A database that psql makes, file by file, with a dump after each."""

    def __init__(self, cluster, url: str, owner: str, folder: Path) -> None:
        self.cluster, self.url, self.owner, self.folder = cluster, url, owner, folder

    def run(self, files: Sequence[Path], *, one_transaction: bool) -> None:
        self.cluster.psql(self.url, files, one_transaction=one_transaction)

    def objects(self) -> Dumped:
        arguments = [self.cluster.bin / "pg_dump", "--schema-only", "--exclude-schema=mosaic_deploy", self.url]
        ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
        return dumped_objects(ended.stdout, self.owner)


def written(folder: Path, files: Sequence[tuple[str, str]]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, text in files:
        (folder / name).write_text(text)
    return [folder / name for name, _ in files]


@pytest.mark.parametrize("corpus", [
    pytest.param(each, id=each["name"], marks=[] if each["name"] in SMALL else [pytest.mark.exhaustive])
    for each in HISTORIES
])
def test_rehearsed_changes_are_those_of_dumps(
    corpus, site: Site, superuser, cluster, project, tmp_path, monkeypatch  # noqa: F811
) -> None:
    monkeypatch.setattr(pending, "_MAX_CATALOGS", 1_000)
    files = numbered_files(corpus)
    begin = len(files) - len(read_texts(corpus)) // 3
    for role in ("CREATE ROLE postgres SUPERUSER", *corpus["prerequisites"]["sql_cluster"]):
        cluster.create_role(role)
    alone = psql_needs_one_transaction(corpus)
    found = cluster.credentials(project(f"{corpus['name']} by psql"))
    reference = Reference(cluster, str(found["database_url"]), str(found["user"]), tmp_path)
    owner = str(cluster.credentials(project(site.name))["user"])
    for role in (reference.owner, owner):
        cluster.superuser("postgres", f'ALTER ROLE "{role}" SUPERUSER')
    paths = written(tmp_path / "psql", files)
    reference.run(paths[:begin], one_transaction=alone)
    written(site.root / "sql", files[:begin])
    site.manifest(database={"migrations": "sql"})
    site.apply()
    written(site.root / "sql", files)
    rehearsal = Rehearser(site).rehearsal()
    assert not rehearsal.not_rehearsed, (rehearsal.not_rehearsed, [each.summary for each in rehearsal.differences])
    assert len(rehearsal.done) == len(files) - begin
    before = reference.objects()
    wrong = {}
    for path, done in zip(paths[begin:], rehearsal.done, strict=True):
        reference.run([path], one_transaction=alone)
        after = reference.objects()
        if differences := [*compared(before, after, done, owner), *other_definitions(after, done, owner)]:
            wrong[path.name] = differences
        before = after
    assert wrong == {}


def compared(before: Dumped, after: Dumped, done: RehearsedChange, owner: str) -> list[str]:
    """The objects that only one of the two sides has, or that it has with another action."""
    reported = {key_of(change.object, owner): change.action for change in done.changes}
    tables = {key[1]: action for key, action in reported.items() if key[0] in ("table", "foreign table")}
    dumped = {
        key: "add" if key not in before else "drop" if key not in after else "change"
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key)
    }
    dumped = {
        key: action
        for key, action in dumped.items()
        if key in reported or not implied(key, action, tables, before if action == "drop" else after)
    }
    return [
        f"{side}: {action} {' '.join(key)}"
        for side, ours, others in (("dump", dumped, reported), ("report", reported, dumped))
        for key, action in sorted(ours.items())
        if others.get(key) != action
    ]


def implied(key: Key, action: str, tables: Mapping[str, str], dumped: Dumped) -> bool:
    """Whether the report of a new or dropped table says it."""
    kind, name, parent = key
    if kind == "sequence":
        owner = " ".join(dumped[key]).partition("OWNED BY ")[2].removeprefix("public.")
        parent = next((table for table in tables if owner.startswith(f"{table}.")), "")
    elif kind == "comment":
        on = name.partition(" on ")[2] or name.partition(" ")[2]
        parent = next((table for table in tables if on == table or on.startswith(f"{table}.")), "")
    return tables.get(parent) == action and (action == "drop" or (action == "add" and kind in _IN_NEW_TABLE))


def key_of(item: SchemaObject, owner: str) -> Key:
    name, parent = (part.replace(owner, "owner") for part in (item.name, item.parent))
    return (item.kind, name.partition("(")[0], "") if item.kind == "comment" else (item.kind, name, parent)


def other_definitions(after: Dumped, done: RehearsedChange, owner: str) -> list[str]:
    """The tables, columns, constraints and indexes whose reported definition isn't that of the dump."""
    found = []
    for change in done.changes:
        kind, name, parent = key = key_of(change.object, owner)
        if change.after is None or kind not in ("table", "column", "constraint", "index"):
            continue
        if kind == "table" and change.action == "add":
            parts = [part for each in after if each[2] == name and each[0] in ("column", "constraint")
                     for part in ((each[1],) if each[0] == "column" else ()) + after[each]]
            reported = change.after[: change.after.rindex(")")]
        else:
            parts, reported = list(after[key]), change.after
        expected = words(" ".join(part.removeprefix("SET ").removeprefix("ADD ") for part in parts))
        if expected != words(reported):
            found.append(f"{' '.join(key)}: reported {reported!r}, dumped {parts}")
    return found
