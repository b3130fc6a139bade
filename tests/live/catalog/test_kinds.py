"""Every kind of object is read: each statement shows in the catalog exactly if it shows in a dump."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from mosaic_deploy.diff.schema import schema_changes
from mosaic_deploy.live.catalog.read import CATALOG_QUERY
from mosaic_deploy.model.catalog import Catalog, SchemaObject
from tests.corpora.conftest import Cluster, cluster  # noqa: F401 - a fixture

SETUP = """
CREATE ROLE catalog_reader;
CREATE SCHEMA app;
CREATE TABLE books (id serial PRIMARY KEY, title text, price int);
CREATE TABLE app.loans (id bigint GENERATED ALWAYS AS IDENTITY, book int);
CREATE TABLE events (at int PRIMARY KEY) PARTITION BY RANGE (at);
CREATE TABLE events_1 (at int NOT NULL);
ALTER TABLE events ATTACH PARTITION events_1 FOR VALUES FROM (0) TO (9);
CREATE INDEX by_at ON ONLY events (at);
CREATE INDEX by_at_1 ON events_1 (at);
CREATE INDEX by_price ON books ((price + 1));
CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n, 'x'::text AS x FROM books;
CREATE SEQUENCE numbers;
CREATE STATISTICS pairs ON title, price FROM books;
CREATE TYPE mood AS ENUM ('sad');
CREATE DOMAIN positive AS int CONSTRAINT above CHECK (VALUE > 0);
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE STRICT LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION same(int, int) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT $1 = $2';
CREATE FUNCTION to_int(mood) RETURNS int IMMUTABLE STRICT LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION happened() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION happened();
CREATE PUBLICATION news FOR TABLE books;
CREATE OPERATOR === (FUNCTION = same, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR FAMILY alike USING hash;
CREATE TEXT SEARCH CONFIGURATION terms (COPY = simple);
CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = snowball, language = english);
CREATE FOREIGN DATA WRAPPER remote;
CREATE SERVER there FOREIGN DATA WRAPPER remote OPTIONS (host 'a', password 'secret');
CREATE USER MAPPING FOR CURRENT_USER SERVER there OPTIONS (password 'secret');
"""
CHANGES = {
    'ALTER SEQUENCE numbers SET UNLOGGED':
        'change sequence numbers',
    'ALTER SEQUENCE numbers INCREMENT 2':
        'change sequence numbers',
    'ALTER SEQUENCE numbers OWNED BY books.price':
        'change sequence numbers',
    'ALTER SEQUENCE numbers OWNED BY books.id':
        'change sequence numbers',
    'ALTER SEQUENCE numbers OWNED BY NONE':
        'change sequence numbers',
    'ALTER TABLE books ADD number serial':
        'add sequence books_number_seq; add column books.number',
    'ALTER TABLE books ALTER number DROP DEFAULT; DROP SEQUENCE books_number_seq':
        'drop sequence books_number_seq; change column books.number',
    'ALTER TABLE app.loans ALTER id SET INCREMENT BY 5':
        'change sequence app.loans_id_seq',
    'ALTER TABLE app.loans ALTER id DROP IDENTITY':
        'drop sequence app.loans_id_seq; change column app.loans.id',
    'ALTER INDEX by_at ATTACH PARTITION by_at_1':
        'change index by_at on events; change index by_at_1 on events_1',
    'ALTER INDEX by_price ALTER COLUMN 1 SET STATISTICS 500':
        'change index by_price on books',
    'ALTER TABLE books SET (toast.autovacuum_enabled = off)':
        'change table books',
    'ALTER MATERIALIZED VIEW sums SET (toast.autovacuum_enabled = off)':
        'change materialized view sums',
    'ALTER TABLE books ADD CONSTRAINT n NOT NULL title NO INHERIT':
        'change column books.title',
    'ALTER STATISTICS pairs SET STATISTICS 9':
        'change statistics pairs',
    'ALTER STATISTICS pairs OWNER TO catalog_reader':
        'change statistics pairs',
    'ALTER EVENT TRIGGER watch DISABLE':
        'change event trigger watch',
    'ALTER PUBLICATION news SET TABLE books (id, price)':
        'change publication news',
    'ALTER PUBLICATION news SET TABLE books WHERE (price > 1)':
        'change publication news',
    'ALTER PUBLICATION news SET TABLE books, TABLES IN SCHEMA app':
        'change publication news',
    'ALTER PUBLICATION news SET (publish_generated_columns = stored)':
        'change publication news',
    'ALTER PUBLICATION news OWNER TO catalog_reader':
        'change publication news',
    'CREATE TYPE code':
        'add type code',
    "CREATE FUNCTION code_in(cstring) RETURNS code IMMUTABLE STRICT LANGUAGE internal AS 'int4in'":
        'add function code_in(cstring)',
    "CREATE FUNCTION code_out(code) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'int4out'":
        'add function code_out(code)',
    'CREATE TYPE code (INPUT = code_in, OUTPUT = code_out, LIKE = int4)':
        'change type code',
    'ALTER DOMAIN positive RENAME CONSTRAINT above TO more':
        'change domain positive',
    'CREATE DOMAIN word AS text COLLATE "C"':
        'add domain word',
    'CREATE TYPE pair AS (a int, b text COLLATE "C")':
        'add type pair',
    'CREATE TYPE texts AS RANGE (SUBTYPE = text, COLLATION = "C", MULTIRANGE_TYPE_NAME = many_texts)':
        'add type texts',
    'CREATE CAST (mood AS int) WITH FUNCTION to_int(mood)':
        'add cast (public.mood AS integer)',
    'DROP CAST (mood AS int); CREATE CAST (mood AS int) WITH FUNCTION to_int(mood) AS ASSIGNMENT':
        'change cast (public.mood AS integer)',
    'ALTER OPERATOR === (int, int) SET (RESTRICT = eqsel)':
        'change operator ===(integer,integer)',
    'ALTER OPERATOR FAMILY alike USING hash ADD OPERATOR 1 === (int, int), FUNCTION 1 (int) hashint4(int)':
        'change operator family alike USING hash',
    'CREATE OPERATOR CLASS alikes FOR TYPE int USING hash FAMILY alike AS STORAGE int':
        'add operator class alikes USING hash',
    "CREATE CONVERSION latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8":
        'add conversion latin',
    'ALTER TEXT SEARCH CONFIGURATION terms DROP MAPPING FOR word':
        'change text search configuration terms',
    'ALTER TEXT SEARCH CONFIGURATION terms ALTER MAPPING FOR asciiword WITH stems, simple':
        'change text search configuration terms',
    'ALTER TEXT SEARCH DICTIONARY stems (language = german)':
        'change text search dictionary stems',
    'CREATE TEXT SEARCH PARSER words (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)':
        'add text search parser words',
    'CREATE TEXT SEARCH TEMPLATE plain (LEXIZE = dsimple_lexize)':
        'add text search template plain',
    'CREATE TRUSTED LANGUAGE other HANDLER plpgsql_call_handler':
        'add language other',
    'GRANT USAGE ON LANGUAGE other TO catalog_reader':
        'add grant to catalog_reader on language other',
    'CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal))':
        'add transform for integer language sql',
    'CREATE ACCESS METHOD lists TYPE INDEX HANDLER bthandler':
        'add access method lists',
    "ALTER FOREIGN DATA WRAPPER remote OPTIONS (debug 'on')":
        'change foreign-data wrapper remote',
    "ALTER SERVER there OPTIONS (SET password 'other')":
        'change server there',
    'ALTER SERVER there OWNER TO catalog_reader':
        'change server there',
    'GRANT USAGE ON FOREIGN DATA WRAPPER remote TO catalog_reader':
        'add grant to catalog_reader on foreign-data wrapper remote',
    'GRANT USAGE ON FOREIGN SERVER there TO PUBLIC':
        'add grant to public on server there',
    "CREATE SUBSCRIPTION feed CONNECTION 'host=nowhere password=secret' PUBLICATION news WITH (connect = false, slot_name = NONE)":
        'add subscription feed',
    'DROP SUBSCRIPTION feed':
        'drop subscription feed',
    "CREATE COLLATION plain (LOCALE = 'C')":
        'add collation plain',
    "CREATE COLLATION app.plain (LOCALE = 'POSIX')":
        'add collation app.plain',
    'ALTER TABLE app.loans ADD note text COLLATE plain':
        'add column app.loans.note',
    'ALTER TABLE app.loans ALTER note TYPE text COLLATE app.plain':
        'change column app.loans.note',
    'CREATE USER MAPPING FOR PUBLIC SERVER there':
        'add user mapping for public on server there',
    'REVOKE ALL ON TABLE books FROM CURRENT_USER':
        'add grant to OWNER on books',
}  # fmt: skip
"""In this order, what changes."""
NO_CHANGES = (
    "INSERT INTO books (title, number) VALUES ('x', 1)",
    "SELECT setval('numbers', 50)",
    "ANALYZE books",
    "CREATE TEMP TABLE passing (id int)",
    "REFRESH MATERIALIZED VIEW sums",
    "DROP VIEW IF EXISTS nothing",
    "ALTER TABLE events ADD x int; ALTER TABLE events DROP x",
)
DATABASE = "catalog_kinds"


@pytest.fixture
def connection(cluster: Cluster) -> Iterator[psycopg.Connection]:  # noqa: F811
    """As a superuser, who may make all of them."""
    drop = (f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", "DROP ROLE IF EXISTS catalog_reader")
    cluster.superuser("postgres", *drop, f"CREATE DATABASE {DATABASE}")
    with psycopg.connect(f"{cluster.url}/{DATABASE}", autocommit=True) as made:
        made.execute(SETUP)
        yield made
    cluster.superuser("postgres", *drop)


def test_changes_of_every_kind(connection: psycopg.Connection) -> None:
    before, found = read(connection), {}
    owner = connection.info.user
    for statement in CHANGES:
        connection.execute(statement)
        after = read(connection)
        changes = [f"{each.action} {each.object}" for each in schema_changes(before, after)]
        found[statement] = "; ".join(changes).replace(f" {owner}", " OWNER")
        before = after
    assert found == CHANGES
    for statement in NO_CHANGES:
        connection.execute(statement)
    assert schema_changes(before, read(connection)) == ()


@pytest.mark.exhaustive
def test_dumps_change_with_the_same_statements(connection: psycopg.Connection, cluster: Cluster) -> None:  # noqa: F811
    before, unchanged = dump(cluster), []
    for statement in (*CHANGES, *NO_CHANGES):
        connection.execute(statement)
        after = dump(cluster)
        if before == after:
            unchanged.append(statement)
        before = after
    assert unchanged == list(NO_CHANGES)


def read(connection: psycopg.Connection) -> Catalog:
    row = connection.execute(CATALOG_QUERY).fetchone()
    assert row is not None
    return {SchemaObject(kind, name, of): text or "" for kind, name, of, text in json.loads(row[0])}


def dump(cluster: Cluster) -> list[str]:  # noqa: F811
    arguments = [cluster.bin / "pg_dump", "--schema-only", f"{cluster.url}/{DATABASE}"]
    lines = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(line for line in lines if not line.startswith(("--", "\\restrict", "\\unrestrict")))
