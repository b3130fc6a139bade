"""What existed before a run is read in a time that doesn't grow with the square of the number of tables."""

from __future__ import annotations

import re

from mosaic_deploy.live.database.existing import existing_now_sql


def test_types_that_columns_have_are_looked_for_once(site):
    site.deploy_sql(
        "CREATE TYPE point2 AS (x int, y int); CREATE TABLE t (at point2[]); CREATE TABLE u (id int);"
    )
    plan = "\n".join(
        str(row["QUERY PLAN"]) for row in site.sql(f"EXPLAIN (COSTS OFF) {existing_now_sql(())}")
    )
    subplans = re.split(r"\n(?= *(?:SubPlan|InitPlan|CTE) )", plan)
    of_types = [one for one in subplans if "on pg_type y" in one]
    assert of_types
    assert "hashed SubPlan" in plan
    assert not [one for one in of_types if re.search(r"[(= ]t\.oid", one)]
    found = site.sql(existing_now_sql(()))[0]["existing"]
    assert '"public.point2"' in str(found)
    assert '"public.u"' not in str(found)
