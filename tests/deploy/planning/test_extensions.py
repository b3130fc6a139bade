"""Extensions that the server doesn't have are found before anything runs, with the line of the manifest."""

from __future__ import annotations

import pytest

from mosaic_deploy.errors import ManifestInvalid
from mosaic_deploy.model.event import ApplyFailed


def _use(site, *extensions: str) -> None:
    site.write("sql/0001_a.sql", "CREATE TABLE a (x int);")
    site.manifest(database={"migrations": "sql", "extensions": list(extensions)})


def _line_of(site, text: str) -> int:
    lines = (site.root / "mosaic.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_new_project_fails_before_its_migrations(site):
    _use(site, "vector", "pgvector")
    failed = site.run()[-1]
    assert isinstance(failed, ApplyFailed)
    assert isinstance(failed.error, ManifestInvalid)
    (problem,) = failed.error.problems
    assert (problem.location.line, problem.field) == (_line_of(site, "pgvector"), "database.extensions[1]")
    assert problem.message == 'the server has no extension "pgvector"'
    assert problem.hint == 'did you mean "vector"?'
    assert [action.description for action in failed.error.next_actions] == [
        "run it again, once that is corrected"
    ]
    _use(site, "vector")
    assert site.sql("SELECT to_regclass('a')::text AS a") == [{"a": None}]
    site.apply()


def test_the_plan_of_a_live_project_finds_it(site):
    _use(site, "vector")
    site.apply()
    _use(site, "vector", "no_such_thing", "pg_crypto")
    with pytest.raises(ManifestInvalid) as refused:
        site.plan()
    assert [problem.hint for problem in refused.value.problems] == [
        "remove it, or install it on the server first",
        'did you mean "pgcrypto"?',
    ]
    _use(site, "vector", "pgcrypto", "hstore")
    site.apply()
