"""Applied migrations that use tables which no file makes: later plans are still rehearsed, and applied under `required`."""

from __future__ import annotations

from itertools import zip_longest

from mosaic_deploy.deploy.rehearsal import base as bases
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from tests.deploy.conftest import Site
from tests.deploy.rehearsal.conftest import Rehearser
from tests.deploy.rehearsal.test_ways_out import repair

REQUIRED = {"rehearsed": "required", "unmanaged": ["app_*", "jobs.*"]}
TABLE = """CREATE TABLE app_t (id serial PRIMARY KEY, at timestamptz DEFAULT now(), n int REFERENCES orders);
CREATE INDEX app_t_at ON app_t (at)"""


def begin(rehearser: Rehearser, *by_hand: str) -> Site:
    """A site with a first migration, and what others then made in its database."""
    site = rehearser.site
    site.deploy_sql("CREATE TABLE orders (id int PRIMARY KEY);")
    site.manifest(database={"migrations": "sql"}, policy=REQUIRED)
    site.apply()
    site.sql(";".join(by_hand))
    return site


def deploy(rehearser: Rehearser, number: int, *texts: str) -> None:
    """One deploy of these files, which has to be rehearsed."""
    for place, text in enumerate(texts):
        rehearser.site.write(f"sql/{number}{place:02}_file.sql", text)
    last = rehearser.site.run(rehearser.plan())[-1]
    assert isinstance(last, ApplyDone), (last.error.message, last.error.hint)


# What others make in the database, and the files that then use it, one deploy after another; `app_t` is another table in each.
USES = {
    "a view": ("CREATE VIEW va AS SELECT * FROM app_t;",),
    "a foreign key": ("CREATE TABLE visits (s int REFERENCES app_t);",),
    "a function": ("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(at) FROM app_t';",),
    "a composed name": ("DO $$ BEGIN EXECUTE 'CREATE VIEW vc AS SELECT id FROM ' || 'app' || '_t'; END $$;",),
    "without a transaction": ("CREATE INDEX CONCURRENTLY app_later ON app_t (n);",),
    "what the live table already has": (
        "ALTER TABLE app_t ADD note text; CREATE INDEX app_t_note ON app_t (note);",
        "ALTER TABLE app_t RENAME note TO remark; ALTER TABLE app_t DROP at;"
        "ALTER TABLE app_t ADD CONSTRAINT short CHECK (remark < 'x');",
    ),
    "used, then dropped": (
        "CREATE VIEW vb AS SELECT id, at FROM app_t;",
        "DROP VIEW vb; DROP TABLE app_t;",
        "CREATE TABLE app_t (other text); CREATE VIEW vb AS SELECT other FROM app_t;",
    ),
}
OTHER_TABLES = {
    "CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY)": ("DROP TABLE schema_migrations;",),
    "CREATE SCHEMA supabase_migrations; CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY)": (
        "DROP TABLE supabase_migrations.schema_migrations;",
        "DROP SCHEMA supabase_migrations;",
    ),
    'CREATE TABLE "SequelizeMeta" (name text)': ('DROP TABLE "SequelizeMeta";',),
    "CREATE SCHEMA jobs; CREATE TABLE jobs.runs (id int PRIMARY KEY)": (
        "CREATE VIEW vr AS SELECT id FROM jobs.runs;",
        "DROP VIEW vr; DROP TABLE jobs.runs;",
    ),
    'CREATE SCHEMA IF NOT EXISTS jobs; CREATE TABLE jobs."Odd.Name" (id serial, "Col.X" int); CREATE TABLE jobs."Odd.Kept" (id int); CREATE INDEX "Odd.I" ON jobs."Odd.Kept" (id)': (
        'CREATE VIEW vo AS SELECT "Odd.Name"."Col.X" FROM jobs."Odd.Name"; DROP INDEX jobs."Odd.I";',
        'DROP VIEW vo; ALTER TABLE jobs."Odd.Name" DROP "Col.X";',
        'DROP TABLE jobs."Odd.Name";',
    ),
}


def test_files_that_used_what_no_file_makes(rehearser):
    cases = {**OTHER_TABLES}
    for number, texts in enumerate(USES.values()):
        by_hand, *renamed = (text.replace("app_t", f"app_{number}") for text in (TABLE, *texts))
        cases[by_hand] = tuple(text.replace("'_t'", f"'_{number}'") for text in renamed)
    begin(rehearser, *cases)
    for number, texts in enumerate(zip_longest(*cases.values()), 2):
        deploy(rehearser, number, *filter(None, texts))
    for number in (8, 9):
        deploy(rehearser, number, f"ALTER TABLE orders ADD c{number} int;")


# Tables that are made only after others, or with what CREATE TABLE doesn't accept as the catalog prints it.
COPIES = {
    "CREATE TABLE app_z (id int PRIMARY KEY); CREATE TABLE app_k (z int REFERENCES app_z)": (
        "ALTER TABLE app_k DROP CONSTRAINT app_k_z_fkey; DROP TABLE app_z;"
    ),
    "CREATE TABLE app_s (a text, b text); ALTER TABLE app_s ALTER a SET STORAGE EXTERNAL, ALTER b SET STATISTICS 9,"
    "ALTER b SET (n_distinct = 5); CREATE UNIQUE INDEX app_s_a ON app_s (a)": "CREATE VIEW vs AS SELECT a, b FROM app_s;",
    "CREATE TABLE app_p (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); CREATE INDEX app_p_at ON app_p (at);"
    "CREATE TABLE app_p_1 PARTITION OF app_p FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (id);"
    "CREATE TABLE app_p_0 PARTITION OF app_p_1 FOR VALUES IN (1, 2)": (
        "CREATE TABLE app_p_2 PARTITION OF app_p DEFAULT; CREATE VIEW vp AS SELECT id FROM app_p_0;"
        "DROP INDEX app_p_at;"
    ),
    "CREATE TYPE app_e AS ENUM ('a', 'b'); CREATE DOMAIN app_d AS app_e DEFAULT 'a'; CREATE SEQUENCE app_q;"
    "CREATE TABLE app_y (d app_d, n int DEFAULT nextval('app_q'))": "CREATE VIEW vy AS SELECT d FROM app_y WHERE d IS NOT NULL;",
    'CREATE TABLE "app_Odd" ("Col.X" serial)': 'INSERT INTO "app_Odd" DEFAULT VALUES;',
}


def test_copies_have_what_the_live_tables_have(rehearser):
    begin(rehearser, *COPIES)
    deploy(rehearser, 2, *COPIES.values())
    deploy(rehearser, 3, "ALTER TABLE orders ADD c int;")


# What files made, and what others then changed of it.
CHANGED = {
    "DROP TABLE app_m": "CREATE TABLE app_m (other text);",
    "ALTER TABLE app_n DROP old, ALTER n TYPE text, ALTER n SET DEFAULT 'x'": (
        "ALTER TABLE app_n ADD old date; CREATE VIEW vn AS SELECT n || 'y' AS n FROM app_n;"
    ),
    "DROP INDEX app_n_i": "CREATE INDEX app_n_i ON app_n (n);",
    "ALTER TABLE app_n DROP CONSTRAINT positive": "ALTER TABLE app_n ADD CONSTRAINT positive CHECK (n > 'a');",
}


def test_tables_of_the_files_are_as_others_left_them(rehearser):
    site = begin(rehearser, "SELECT 1")
    made = "(id int PRIMARY KEY, old text, n int, CONSTRAINT positive CHECK (n > 0));"
    deploy(
        rehearser,
        2,
        f"CREATE TABLE app_m {made} CREATE TABLE app_n {made} CREATE INDEX app_n_i ON app_n (n);",
    )
    site.sql(";".join(reversed(CHANGED)))
    deploy(rehearser, 3, *CHANGED.values())


def test_a_file_that_makes_the_table_itself_after_it_was_dropped_by_hand(rehearser):
    site = begin(rehearser, TABLE)
    deploy(rehearser, 2, "DELETE FROM app_t WHERE false;")
    site.sql("DROP TABLE app_t")
    deploy(rehearser, 3, "CREATE TABLE app_t (other text);")
    deploy(rehearser, 4, "CREATE VIEW va AS SELECT other FROM app_t;")
    deploy(rehearser, 5, "ALTER TABLE orders ADD c int;")


def test_a_column_that_the_app_added_to_a_table_of_the_files(rehearser):
    site = begin(rehearser, "SELECT 1")
    deploy(rehearser, 2, "CREATE TABLE app_t (id int);")
    site.sql("ALTER TABLE app_t ADD at timestamptz NOT NULL DEFAULT now()")
    deploy(rehearser, 3, "CREATE VIEW va AS SELECT s.at FROM app_t s;")
    deploy(rehearser, 4, "ALTER TABLE orders ADD c int;")


def test_a_base_with_copies_is_kept_for_the_same_copies_only(rehearser, monkeypatch):
    site = begin(rehearser, TABLE)
    deploy(rehearser, 2, "CREATE VIEW va AS SELECT id FROM app_t;")
    site.write("sql/300_next.sql", "ALTER TABLE orders ADD c int;")
    built = []
    build = bases._build
    monkeypatch.setattr(bases, "_build", lambda *given: built.append(given[2]) or build(*given))
    for _ in range(2):
        assert rehearser.changes() == [["add column orders.c integer"]]
    assert len(built) == 1
    site.sql("ALTER TABLE app_t ADD more int")
    site.write("sql/300_next.sql", "CREATE VIEW vb AS SELECT more FROM app_t;")
    assert len(rehearser.changes()[0]) == 1
    assert len(built) == 2
    assert isinstance(site.run(rehearser.plan())[-1], ApplyDone)
    # The longer history extends it.
    del built[:]
    site.write("sql/400_next.sql", "ALTER TABLE orders ADD d int;")
    assert rehearser.changes() == [["add column orders.d integer"]]
    assert built == [2]


def test_a_missing_table_that_is_nobodys(rehearser):
    site = begin(rehearser, "CREATE TABLE leftover (id int)")
    site.write("sql/2_drop.sql", "DROP TABLE leftover;")
    site.manifest(database={"migrations": "sql"})
    assert isinstance(site.run()[-1], ApplyDone)
    site.manifest(database={"migrations": "sql"}, policy=REQUIRED)
    site.write("sql/300_next.sql", "ALTER TABLE orders ADD c int;")
    denied = site.run(rehearser.plan())[-1]
    assert isinstance(denied, ApplyFailed)
    assert 'table "leftover" does not exist' in denied.error.message
    hint = str(denied.error.hint)
    assert "make 2_drop.sql tolerate that it is missing (DROP … IF EXISTS" in hint
    assert "`mosaic-deploy migrate repair --accept 2_drop.sql`" in hint
    assert "live rows" not in hint
    site.write("sql/2_drop.sql", "DROP TABLE IF EXISTS leftover;")
    repair(site, accept=["2_drop.sql"])
    assert rehearser.changes() == [["add column orders.c integer"]]
    assert isinstance(site.run(rehearser.plan())[-1], ApplyDone)


# What a file made of a table that isn't as it was, and how it is written so that the base gets the same.
WRITTEN_OUT = {
    "CREATE TABLE archive AS SELECT * FROM app_t; DROP TABLE app_t;": "CREATE TABLE archive (id int);",
    "DO $$ BEGIN IF to_regclass('app_u') IS NOT NULL THEN CREATE VIEW vu AS SELECT id FROM app_u; END IF; END $$;": (
        "CREATE VIEW vu AS SELECT id FROM app_u;"
    ),
}


def test_a_file_whose_result_depends_on_the_table_is_written_out(rehearser):
    site = begin(rehearser, "CREATE TABLE app_t (id int)", "CREATE TABLE app_u (id int)")
    deploy(rehearser, 2, *WRITTEN_OUT)
    site.write("sql/300_next.sql", "ALTER TABLE orders ADD c int;")
    found = {str(each.object) for each in rehearser.rehearsal().differences}
    assert {"column archive.id", "view vu"} <= found, found
    for place, text in enumerate(WRITTEN_OUT.values()):
        site.write(f"sql/2{place:02}_file.sql", text)
    repair(site, accept=["200_file.sql", "201_file.sql"])
    assert rehearser.changes() == [["add column orders.c integer"]]
    assert isinstance(site.run(rehearser.plan())[-1], ApplyDone)
