"""Several projects of one name: the only one that is in use is meant."""

import pytest

from mosaic_deploy.errors import ProjectAmbiguous
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.projects import wait_until_running
from mosaic_deploy.live.api.responses import parse_project


def create_another(site, *, wait: bool = True) -> str:
    project = parse_project(site.api.call(endpoints.CREATE_PROJECT, body={"name": site.name}))
    if wait:
        list(wait_until_running(site.api, project, timeout=60))
    return project.id


@pytest.mark.parametrize("wait", [True, False], ids=["running", "new"])
def test_an_empty_one_does_not_matter(site, wait) -> None:
    site.write("sql/1_a.sql", "CREATE TABLE t (a int);")
    site.manifest(database={"migrations": "sql"})
    used = site.apply().project.id
    empty = create_another(site, wait=wait)
    planned = site.plan()
    assert (planned.plan.project.id, planned.plan.changes) == (used, ())
    [note] = planned.plan.notes
    assert (note.code, empty in note.message) == ("project_duplicated", True)
    site.write("sql/2_b.sql", "CREATE TABLE u (a int);")
    assert site.apply().project.id == used


def test_a_deploy_of_settings_alone_is_use(site) -> None:
    site.manifest(auth={"magic_link": {"redirect_url": "/"}}, static={"dir": "web"})
    site.write("web/index.html", "x")
    used = site.apply().project.id
    create_another(site)
    assert site.plan().plan.project.id == used


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE t ()", "CREATE TYPE color AS ENUM ('red')", "CREATE FUNCTION f() RETURNS int RETURN 1", "CREATE SCHEMA s"],
)  # fmt: skip
def test_what_somebody_else_made_is_use(site, statement) -> None:
    site.write("sql/1_a.sql", "SELECT 1;")
    site.manifest(database={"migrations": "sql"})
    site.apply()
    site.api.sql(create_another(site), statement)
    with pytest.raises(ProjectAmbiguous):
        site.plan()


def test_two_empty_ones_are_ambiguous(site) -> None:
    site.manifest(database={"migrations": "sql"})
    site.write("sql/1_a.sql", "SELECT 1;")
    create_another(site)
    create_another(site)
    with pytest.raises(ProjectAmbiguous):
        site.plan()
