"""Round trips: a plain pg_dump of a real schema is a first migration, and its result dumps as the same text."""

from __future__ import annotations

import psycopg
import pytest

from tests.corpora.conftest import FOLDER, HISTORIES
from tests.deploy.conftest import Site, api, site  # noqa: F401 - fixtures

DUMPED = [
    c for c in HISTORIES if c["name"] in ("umami", "svix", "vaultwarden", "ghostfolio", "formbricks", "mas")
]
pytestmark = [
    pytest.mark.skipif(not HISTORIES, reason="the corpora are not beside the repository"),
    pytest.mark.timeout(600),
]


@pytest.mark.parametrize("corpus", DUMPED, ids=[corpus["name"] for corpus in DUMPED])
def test_a_dump_applies_and_dumps_the_same(corpus: dict, site: Site, cluster, project):  # noqa: F811
    source = project(f"{corpus['name']} dumped")
    user = str(cluster.credentials(source)["user"])
    url = cluster.prepare(source, corpus)
    cluster.psql(url, sorted((FOLDER / corpus["dir"]).glob("*.sql")), one_transaction=False)
    cluster.superuser("postgres", f'ALTER ROLE "{user}" NOSUPERUSER')
    rows = fill(url)
    # What `prepare` makes for mas belongs to the superuser, as in another PostgreSQL.
    options = ["--no-owner", "--no-privileges"] if corpus["name"] == "mas" else []
    site.write("sql/0001_dump.sql", cluster.whole_dump(url, *options))
    site.manifest(database={"migrations": "sql"})
    site.apply()
    ours = str(cluster.credentials(site.project_id)["database_url"])
    assert rows
    assert comparable(cluster, ours, *options) == comparable(cluster, url, *options)


def comparable(cluster, url: str, *options: str) -> list[str]:
    """A dump with its data, without what differs between two dumps of one database."""
    text = cluster.whole_dump(url, "--exclude-schema=mosaic_deploy", *options)
    lines = text.replace(url.rpartition("/")[2], "owner").splitlines()
    return [line for line in lines if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]


SAMPLES = {
    "A": "'{}'",
    "B": "true",
    "D": "timestamp '2026-02-28 23:59:59.123456'",
    "E": "null",
    "N": "7",
    "S": r"E'a\tb\\c''d\n\\N é'",
    "U": "null",
}
"""A value for each category of types."""


def fill(url: str) -> int:
    """Inserts a row into each table that takes one of these values; returns how many do."""
    columns = """
        SELECT c.oid::regclass::text, array_agg(quote_ident(a.attname) ORDER BY a.attnum),
          array_agg(CASE WHEN t.typname = 'uuid' THEN 'Q' WHEN t.typname IN ('json', 'jsonb') THEN 'J'
            WHEN t.typtype = 'e' THEN 'E' ELSE t.typcategory::text END ORDER BY a.attnum),
          array_agg((SELECT min(enumlabel) FROM pg_enum WHERE enumtypid = t.oid) ORDER BY a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
        WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
          AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
        GROUP BY c.oid"""
    filled = 0
    with psycopg.connect(url, autocommit=True) as connection:
        for table, names, categories, labels in connection.execute(columns).fetchall():
            values = [sample(*kind) for kind in zip(categories, labels, strict=True)]
            try:
                connection.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(values)})")
            except psycopg.Error:
                continue
            filled += 1
    return filled


def sample(category: str, label: str | None) -> str:
    if category == "E":
        return f"'{label}'"
    if category == "Q":
        return "gen_random_uuid()"
    return SAMPLES.get(category, r"""E'{"a": "\\\\ \\n \\t"}'""" if category == "J" else "null")
