"""The deployed project: every kind of step and file, as a first apply and as an update of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

Files = Mapping[str, str | bytes]

_STEPS_V1: Files = {
    # `ran` has no key: what runs twice leaves two rows.
    "sql/0001_base.sql": "create table ran (what text);\n"
    "create table customers (id int primary key, name text, fax text);\n"
    "insert into customers select n, 'customer ' || n from generate_series(1, 50) n;\n"
    "insert into ran values ('base');\n",
    "sql/0002_no_fax.sql": "alter table customers drop column fax;\ninsert into ran values ('no fax');\n",
    "sql/0003_own.sql": "begin;\ncreate table orders (id int primary key, customer int references customers);\n"
    "insert into ran values ('own 1');\ncommit;\n"
    "begin;\ninsert into orders select n, n from generate_series(1, 9) n;\n"
    "insert into ran values ('own 2');\ncommit;\n",
    "sql/0004_mood.sql": "create type mood as enum ('fine');\nalter type mood add value 'great';\n"
    "create table moods (mood mood);\ninsert into moods values ('great');\ninsert into ran values ('mood');\n",
    "sql/0005_plain.sql": "savepoint here;\ninsert into ran values ('plain');\nrelease here;\n",
}  # fmt: skip
_OUTSIDE_V1: Files = {
    "sql/0006_index.sql": "create index concurrently customers_name on customers (name);\n",
    "sql/0007_vacuum.sql": "insert into ran values ('before vacuum');\nvacuum customers;\n"
    "insert into ran values ('after vacuum');\n",
    "sql/0008_call.sql": "create procedure work(what text) language plpgsql as $$ begin\n"
    "  insert into ran values (what || ' 1'); commit;\n"
    "  insert into ran values (what || ' 2'); commit;\nend $$;\ncall work('call');\n",
    "sql/0009_apart.sql": "-- mosaic: transaction=false\ninsert into ran values ('apart 1');\n"
    "insert into ran values ('apart 2');\n",
}
_STEPS_V2: Files = {
    "sql/0010_channel.sql": "alter table orders add column channel text not null default 'web';\n"
    "insert into ran values ('channel');\n",
    "sql/0011_own.sql": "begin;\nupdate orders set channel = 'shop' where id < 4;\n"
    "insert into ran values ('shop 1');\ncommit;\ninsert into ran values ('shop 2');\n",
    "sql/0012_mood.sql": "alter type mood add value 'sad';\ninsert into moods values ('sad');\n"
    "insert into ran values ('sad');\n",
    "sql/0013_into.sql": "select id into copied from orders;\ninsert into ran values ('into');\n",
}
_OUTSIDE_V2: Files = {
    "sql/0014_index.sql": "drop index concurrently customers_name;\n"
    "create unique index concurrently customers_once on customers (name);\n",
    "sql/0015_call.sql": "call work('again');\ninsert into ran values ('called');\n",
}
_FILES_V1: Files = {
    "seeds/plans.sql": "create table if not exists plans (name text primary key);\n"
    "insert into plans values ('free');\ninsert into ran values ('seed 1');\n",
    "www/index.html": "<!doctype html><link rel=stylesheet href=style.css><p>version 1",
    "www/style.css": "p { color: black }",
    "www/logo.png": b"\x89PNG\r\n\x1a\n\x00one",
    "www/old.html": "<p>goes with version 2",
    "pics/photo.bin": bytes(range(256)) * 20,
    "pics/old.bin": b"goes with version 2",
}
_FILES_V2: Files = {
    "seeds/plans.sql": "insert into plans values ('team');\ninsert into ran values ('seed 2');\n",
    "www/index.html": "<!doctype html><link rel=stylesheet href=style.css><p>version 2",
    "www/style.css": "p { color: navy }",
    "www/about.html": "<p>new",
    "pics/photo.bin": bytes(range(255, -1, -1)) * 30,
    "pics/new.bin": b"new",
}
_GONE_V2 = ("www/old.html", "pics/old.bin")


@dataclass(frozen=True)
class Scenario:
    """`first` applies version 1 to nothing; `update` applies version 2 to version 1.

    Without `outside`, every step can run in a transaction, for endpoints that wrap each request in one.
    """

    update: bool = False
    outside: bool = True

    @property
    def name(self) -> str:
        return ("update" if self.update else "first") + ("" if self.outside else ", transactions only")

    def write_before(self, folder: Path, project: str) -> None:
        """What is deployed, undisturbed, before the run with the fault. Only for updates."""
        _write(folder, {**_STEPS_V1, **(_OUTSIDE_V1 if self.outside else {}), **_FILES_V1})
        _write_manifest(folder, project, "/old.html")

    def write(self, folder: Path, project: str) -> None:
        """What the run with the fault deploys."""
        self.write_before(folder, project)
        if self.update:
            _write(folder, {**_STEPS_V2, **(_OUTSIDE_V2 if self.outside else {}), **_FILES_V2})
            for path in _GONE_V2:
                (folder / path).unlink()
            _write_manifest(folder, project, "/")


def _write(folder: Path, files: Files) -> None:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def _write_manifest(folder: Path, project: str, redirect: str) -> None:
    manifest = {
        "version": 1,
        "project": {"name": project},
        "database": {"extensions": ["pgcrypto"], "migrations": "sql", "seeds": ["seeds/plans.sql"]},
        "static": {"dir": "www", "prune": True, "keep": 0},
        "storage": {"dir": "pics", "prune": True},
        "auth": {"magic_link": {"redirect_url": redirect}},
        "verify": {"http": [{"path": "/", "contains": "version"}]},
    }  # fmt: skip
    (folder / "mosaic.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
