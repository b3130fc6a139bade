"""Rehearsals after repeatable files: they are part of the live schema, as they ran last."""

from __future__ import annotations

from mosaic_deploy.deploy.rehearsal import has_anything_to_rehearse

VIEW = "CREATE OR REPLACE VIEW totals AS SELECT sum(n) FROM evens;"


def test_a_plan_after_repeatable_files_is_rehearsed_with_them(rehearser):
    site = rehearser.site
    site.write("sql/V1__t.sql", "CREATE TABLE t (n int);")
    site.write("sql/R__evens.sql", "CREATE OR REPLACE VIEW evens AS SELECT n FROM t WHERE n % 2 = 0;")
    site.write("sql/R__a_totals.sql", VIEW)
    site.manifest(database={"migrations": "sql"})
    assert [" ".join(changes[0].split()[:3]) for changes in rehearser.changes()] == [
        "add table t",
        "add view evens",
        "add view totals",
    ]
    site.apply()
    site.write("sql/V2__u.sql", "ALTER TABLE t ADD kind text;")
    site.write("sql/R__a_totals.sql", VIEW.replace("sum(n)", "sum(n), count(*)"))
    found = rehearser.rehearsal()
    assert not found.not_rehearsed, [each.summary for each in found.differences]
    assert [each.addresses for each in found.done] == [
        ("migration:V2__u.sql",),
        ("repeatable:sql/R__a_totals.sql",),
    ]
    site.apply()
    (site.root / "sql/R__evens.sql").rename(site.root / "sql/R__even_ones.sql")
    site.apply()
    site.write("sql/V3__drop.sql", "DROP TABLE t;")
    assert "cannot drop table t because other objects depend on it" in rehearser.fails().message


def test_a_plan_of_repeatable_files_alone_is_rehearsed(rehearser):
    site = rehearser.site
    site.write("sql/V1__t.sql", "CREATE TABLE t (n int, kind text);")
    site.write("sql/R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT n FROM t;")
    site.write("seed.sql", "INSERT INTO t VALUES (1);")
    site.manifest(database={"migrations": "sql", "seeds": ["seed.sql"]})
    site.apply()
    assert not has_anything_to_rehearse(site.plan())
    site.write("seed.sql", "INSERT INTO t VALUES (2);")
    assert not has_anything_to_rehearse(site.plan())
    site.write("sql/R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT kind FROM t;")
    assert has_anything_to_rehearse(site.plan())
    assert 'cannot change name of view column "n" to "kind"' in rehearser.fails().message
    site.write("sql/R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT n, kind FROM t;")
    assert [each.addresses for each in rehearser.rehearsal().done] == [("repeatable:sql/R__v.sql",)]
