"""Real histories: what a rehearsal reports for each file is the difference of two dumps of a database that psql made."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mosaic_deploy.deploy.rehearsal import pending
from mosaic_deploy.live.database.clones import open_rehearsal
from mosaic_deploy.model.catalog import RehearsedChange, SchemaChange, SchemaObject
from tests.corpora.conftest import CORPORA, FOLDER, HISTORIES, Cluster, psql_needs_one_transaction
from tests.corpora.dumped_schema import Dumped, Key, dumped_objects, words
from tests.deploy.conftest import Site, api, site  # noqa: F401 - fixtures
from tests.deploy.rehearsal.conftest import Rehearser

pytestmark = [
    pytest.mark.skipif(not HISTORIES, reason="the corpora are not beside the repository"),
    pytest.mark.timeout(900),
]
_DEFINED = ("table", "column", "constraint", "index")
_PARENTS = ("table", "view", "materialized view", "function", "procedure", "aggregate", "type")
_IN_NEW_TABLE = ("column", "constraint", "sequence", "comment")
SMALL = ("graphile-worker", "svix")
"""Histories of which the rehearsal takes seconds."""


@pytest.fixture
def rehearser(site: Site, cluster: Cluster, project) -> Iterator[Rehearser]:  # noqa: F811
    """Of a new project. Its role and that of rehearsals may do what the histories' own frameworks may."""
    database = open_rehearsal(site.api, [])
    database.drop()
    for role in (database.owner, cluster.credentials(project(site.name))["user"]):
        cluster.superuser("postgres", f'ALTER ROLE "{role}" SUPERUSER')
    yield Rehearser(site)
    cluster.superuser("postgres", f'ALTER ROLE "{database.owner}" NOSUPERUSER')


def numbered_files(corpus: dict) -> list[tuple[str, str]]:
    """Names and texts: what the framework makes first, the history before it, and the history."""
    first = [each for each in CORPORA if each["name"] == corpus["prerequisites"]["corpus_first"]]
    texts = [setup(each) for each in (*first, corpus)]
    for one in (*first, corpus):
        path = search_path(one)
        texts.append(set_search_path(path or '"$user", public'))
        texts += read_texts(one)
    return [(f"{number:04}__file.sql", text) for number, text in enumerate(texts, 1)]


def set_search_path(path: str) -> str:
    """For the sessions of the files after it."""
    return f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = {path}', current_database()); END $$;"


def search_path(corpus: dict) -> str:
    return str(corpus["prerequisites"]["pgoptions"]).removeprefix("-c search_path=")


def read_texts(corpus: dict) -> list[str]:
    return [file.read_text() for file in sorted((FOLDER / corpus["dir"]).glob("*.sql"))]


def setup(corpus: dict) -> str:
    wanted = corpus["prerequisites"]
    statements = [f'CREATE EXTENSION IF NOT EXISTS "{each}"' for each in wanted.get("extensions", ())]
    statements += [each.replace("CREATE SCHEMA", "CREATE SCHEMA IF NOT EXISTS") for each in wanted["sql_db"]]
    return ";\n".join([*statements, "SELECT 1"]) + ";\n"


class Reference:
    """A database of its own in which psql runs the files."""

    def __init__(self, cluster: Cluster, project: str, *, one_transaction: bool) -> None:
        found = cluster.credentials(project)
        self.cluster, self.one_transaction = cluster, one_transaction
        self.url, self.owner = str(found["database_url"]), str(found["user"])
        cluster.superuser("postgres", f'ALTER ROLE "{self.owner}" SUPERUSER')

    def run(self, *files: Path) -> Dumped:
        """The objects in a dump after these files."""
        self.cluster.psql(self.url, files, one_transaction=self.one_transaction)
        arguments = [self.cluster.bin / "pg_dump", "--schema-only", self.url]
        ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
        return dumped_objects(ended.stdout, self.owner)


def write_files(folder: Path, files: Sequence[tuple[str, str]]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, text in files:
        (folder / name).write_text(text)
    return [folder / name for name, _ in files]


@pytest.mark.parametrize(
    "corpus",
    [
        pytest.param(each, id=each["name"], marks=[] if each["name"] in SMALL else [pytest.mark.exhaustive])
        for each in HISTORIES
    ],
)
def test_rehearsed_changes_are_those_of_dumps(
    corpus, rehearser: Rehearser, cluster: Cluster, project, tmp_path, monkeypatch
) -> None:
    """Of each file in the last third, if the others are applied."""
    monkeypatch.setattr(pending, "_MAX_CATALOGS", 1_000)
    for role in ("CREATE ROLE postgres SUPERUSER", *corpus["prerequisites"]["sql_cluster"]):
        cluster.create_role(role)
    files = numbered_files(corpus)
    begin = len(files) - len(read_texts(corpus)) // 3
    done = rehearsed(rehearser, files, begin)
    reference = Reference(
        cluster, project(f"{corpus['name']} by psql"), one_transaction=psql_needs_one_transaction(corpus)
    )
    paths = write_files(tmp_path / "psql", files)
    before, wrong = reference.run(*paths[:begin]), {}
    owner = str(cluster.credentials(rehearser.site.project_id)["user"])
    for path, each in zip(paths[begin:], done, strict=True):
        after = reference.run(path)
        if differences := [*compared(before, after, each, owner), *other_definitions(after, each, owner)]:
            wrong[path.name] = differences
        before = after
    assert wrong == {}


def rehearsed(
    rehearser: Rehearser, files: Sequence[tuple[str, str]], begin: int
) -> tuple[RehearsedChange, ...]:
    """The results of the files from the index `begin` on, with the others live."""
    folder = rehearser.site.root / "sql"
    write_files(folder, files[:begin])
    rehearser.site.manifest(database={"migrations": "sql"})
    rehearser.site.apply()
    write_files(folder, files)
    found = rehearser.rehearsal()
    assert not found.not_rehearsed, (found.not_rehearsed, [each.summary for each in found.differences])
    return found.done


def compared(before: Dumped, after: Dumped, done: RehearsedChange, owner: str) -> list[str]:
    """The objects that only one of the two sides has, or that it has with another action.

    A dump has what was renamed as dropped and added, with its parts; those of tables aren't compared then.
    """
    renamed = {name for change in done.changes if change.new_name for name in _names_of(change, owner)}
    reported = {
        key: change.action
        for change in done.changes
        if renamed.isdisjoint((key := key_of(change.object, owner))[1:])
    }
    parents = {key[1]: action for key, action in reported.items() if key[0] in _PARENTS}
    dumped = {
        key: "add" if key not in before else "drop" if key not in after else "change"
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key) and renamed.isdisjoint(key[1:])
    }
    dumped = {
        key: action
        for key, action in dumped.items()
        if key in reported or not implied(key, action, parents, before, after)
    }
    return [
        f"{side}: {action} {' '.join(key)}"
        for side, ours, others in (("dump", dumped, reported), ("report", reported, dumped))
        for key, action in sorted(ours.items())
        if others.get(key) != action
    ]


def _names_of(change: SchemaChange, owner: str) -> tuple[str, str]:
    return key_of(change.object, owner)[1], change.new_name.replace(owner, "owner")


def implied(key: Key, action: str, parents: Mapping[str, str], before: Dumped, after: Dumped) -> bool:
    """Whether the report of a new or dropped table says it; of a renamed one, that its sequence has another owner."""
    is_gone = action == "add" or parents.get(parent_of(key, before, parents)) == "drop"
    is_new = action == "drop" or (
        key[0] in _IN_NEW_TABLE and parents.get(parent_of(key, after, parents)) == "add"
    )
    return is_gone and is_new


def parent_of(key: Key, dumped: Dumped, parents: Iterable[str]) -> str:
    """The one of `parents` that the object is a part of."""
    kind, name, parent = key
    on = parent
    if kind == "sequence":
        on = " ".join(dumped[key]).partition("OWNED BY ")[2].removeprefix("public.")
    elif kind == "comment":
        on = name.partition(" on ")[2] or name.partition(" ")[2]
    return next((each for each in parents if on == each or on.startswith(f"{each}.")), "")


def key_of(item: SchemaObject, owner: str) -> Key:
    name, parent = (part.replace(owner, "owner") for part in (item.name, item.parent))
    return (item.kind, name.partition("(")[0], "") if item.kind == "comment" else (item.kind, name, parent)


def other_definitions(after: Dumped, done: RehearsedChange, owner: str) -> list[str]:
    """The new tables, columns, constraints and indexes whose reported definition isn't that of the dump."""
    found = []
    renamed = {change.object.name: change.new_name for change in done.changes if change.new_name}
    for change in done.changes:
        item = change.object
        now = replace(item, name=change.new_name or item.name, parent=renamed.get(item.parent, item.parent))
        kind, name, _ = key = key_of(now, owner)
        if change.after is None or kind not in _DEFINED or (kind == "table" and change.action != "add"):
            continue
        parts = list(table_parts(name, after)) if kind == "table" else after.get(key, ("nothing",))
        expected, reported = Counter(words(" ".join(parts))), Counter(words(change.after))
        # What a table is beside its parts is written in other words.
        beside = reported if kind == "table" else Counter()
        if expected - reported or reported - expected - beside:
            found.append(f"{' '.join(key)}: reported {change.after!r}, dumped {parts}")
    return found


def table_parts(table: str, dumped: Dumped) -> Iterator[str]:
    """The names of columns, and the definitions of columns and constraints."""
    for (kind, name, parent), texts in dumped.items():
        if parent == table and kind in ("column", "constraint"):
            yield from ((name, *texts) if kind == "column" else texts)
