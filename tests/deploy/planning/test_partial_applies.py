"""Partial applies on the real platform."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.diff.selection import Selection, parse_selector
from mosaic_deploy.errors import SelectionInvalid
from mosaic_deploy.model.event import ApplyDone, ChangeDone, Noted, Verified


def selected(*only: str, excluded: tuple[str, ...] = ()) -> PlanOptions:
    return PlanOptions(
        selection=Selection(*(tuple(map(parse_selector, texts)) for texts in (only, excluded)))
    )


@pytest.fixture
def whole(site):
    site.write("sql/1_people.sql", "create table people (id int primary key);")
    site.write("sql/2_more.sql", "create table more (id int);")
    site.write("seeds/1.sql", "insert into people values (1);")
    site.write("www/index.html", "<title>hello</title>")
    site.write("www/about/a.html", "about")
    site.write("www/welcome.html", "welcome")
    site.write("pics/p.bin", b"\x00\x01")
    site.manifest(
        database={"migrations": "sql", "seeds": ["seeds"], "extensions": ["vector", "citext"]},
        static={"dir": "www", "prune": True, "keep": 0},
        storage={"dir": "pics", "prune": True},
        auth={"magic_link": {"redirect_url": "/welcome"}},
        verify={"http": [{"path": "/", "contains": "hello"}]},
    )
    return site


def addresses(site, options: PlanOptions | None = None) -> list[str]:
    return [change.address for change in site.plan(options=options).plan.changes]


def test_partial_applies_until_nothing_is_left(whole):
    """Each apply does exactly what was selected; the next full plan has exactly what was left out."""
    parts = [
        "extensions",
        "storage",
        "migration:1_*",
        "migrations",
        "seeds",
        "static:about/",
        "static",
        "auth",
    ]
    for only in parts:
        planned = whole.plan(options=selected(only))
        events = whole.run(planned)
        assert isinstance(events[-1], ApplyDone), events[-1]
        done = [event.change.address for event in events if isinstance(event, ChangeDone)]
        assert sorted(done) == sorted(change.address for change in planned.plan.changes)
        assert done
        assert addresses(whole) == list(planned.plan.left_out)
        assert planned.plan.partial is (only != "auth")
        # The front page is checked once everything is there, and not before.
        assert any(isinstance(event, Verified) for event in events) is (only == "auth")
    assert whole.sql("select count(*) as n from people") == [{"n": 1}]


def test_a_partial_apply_is_recorded_and_postpones_checks(whole):
    events = whole.run(whole.plan(options=selected(excluded=("auth",))))
    assert [event.note.code for event in events if isinstance(event, Noted)] == ["checks_postponed"]
    planned = whole.plan()
    assert planned.live.ledger_facts["last"]["status"] == "partial"
    assert (planned.checks_pending, planned.has_work) == (True, True)
    nothing = whole.plan(options=selected("static"))
    assert (nothing.plan.empty, nothing.plan.partial, nothing.has_work) == (True, True, False)
    assert [event.result for event in whole.run() if isinstance(event, Verified)] == ["200"]
    assert not whole.plan().has_work


def test_postponed_checks_run_without_other_changes(whole):
    whole.run(whole.plan(options=selected(excluded=("static:about/a.html",))))
    (whole.root / "www/about/a.html").unlink()
    planned = whole.plan()
    assert (planned.plan.empty, planned.has_work) == (True, True)
    assert any(isinstance(event, Verified) for event in whole.run(planned))


def test_excluded_extensions_are_not_created_with_the_project(whole):
    whole.run(whole.plan(options=selected("migrations")))
    found = {row["extname"] for row in whole.sql("select extname from pg_extension")}
    assert "citext" not in found


def test_selections_apply_to_deletions(whole):
    whole.apply()
    (whole.root / "www/about/a.html").unlink()
    (whole.root / "pics/p.bin").unlink()
    assert addresses(whole, selected("static")) == ["static:about/a.html"]
    whole.run(whole.plan(options=selected(excluded=("storage",))))
    assert addresses(whole) == ["storage:p.bin"]


def test_hazards_are_those_of_the_selection(whole):
    whole.apply()
    whole.write("sql/3_c.sql", "create table c (id int);")
    whole.write("sql/4_drop.sql", "drop table people;")
    assert whole.plan().plan.to_confirm
    plan = whole.plan(options=selected("migration:3_*")).plan
    assert (plan.to_confirm, [c.address for c in plan.changes]) == ((), ["migration:3_c.sql"])
    with pytest.raises(SelectionInvalid):
        whole.plan(options=selected("migration:4_*"))
