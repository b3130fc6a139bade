"""The review and the run agree which object a name means: a protected table can't be dropped by a changed search_path."""

from __future__ import annotations

import pytest

from mosaic_deploy.model.event import ApplyDone
from tests.deploy.conftest import Site

LIVE = "create schema a; create table a.orders (id int); create table orders (id int); insert into orders values (1);"
INTO_A = [
    "set search_path = a; begin; drop table orders; commit;",
    "set search_path = a; vacuum; drop table orders;",
    "set schema 'a'; create index concurrently i on orders (id); drop table orders;",
    "select set_config('search_path', 'a', false); vacuum; drop table orders;",
    "set search_path = public; begin; set search_path = a; commit; drop table orders;",
    "begin; savepoint x; set search_path = a; release x; commit; drop table orders;",
    "begin; set local search_path = a; drop table orders; commit;",
]
INTO_PUBLIC = [
    "set search_path = a; reset search_path; drop table orders;",
    "set search_path = a; vacuum; set search_path to default; vacuum; drop table orders;",
    "set search_path = a; reset all; drop table orders;",
    "set search_path = a; discard all; drop table orders;",
    "begin; set local search_path = a; select 1; commit; drop table orders;",
    "begin; savepoint x; set search_path = a; rollback to x; drop table orders; commit;",
    "begin; set search_path = a; rollback; drop table orders;",
    "begin; select set_config('search_path', 'a', true); commit; drop table orders;",
    "set search_path = a; vacuum; set search_path = public; select set_config('search_path', 'public', false); vacuum; "
    "drop table orders;",
]
COMPUTED = [
    "select set_config('search_path', concat('a', ', b'), false); drop table orders;",
    "select set_config('search_path', concat('a', ', b'), false); vacuum; drop table orders;",
    "do $$ begin perform set_config('search_path', 'a' || '', false); drop table orders; end $$;",
]
WAYS = [(text, "a.orders", "public.orders") for text in INTO_A] + [
    (text, "public.orders", "a.orders") for text in INTO_PUBLIC
]


@pytest.fixture(scope="module")
def live(platform, tmp_path_factory):
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api

    root = tmp_path_factory.mktemp("policy")
    with Api(platform.url, ApiKey(platform.api_key)) as api:
        yield Site(root, api, "session policy")


def test_the_table_that_is_named_is_the_one_that_is_protected(live: Site) -> None:
    live.write("sql/1_live.sql", LIVE)
    live.manifest(database={"migrations": "sql"})
    live.apply()
    for text, dropped, kept in WAYS:
        live.write("sql/2_drop.sql", text)
        live.manifest(database={"migrations": "sql"}, policy={"protected_tables": [dropped]})
        assert live.plan().plan.denied, text
        live.manifest(database={"migrations": "sql"}, policy={"protected_tables": [kept]})
        assert not live.plan().plan.denied, text
    live.manifest(database={"migrations": "sql"}, policy={"protected_tables": ["a.orders"]})
    for text in COMPUTED:
        live.write("sql/2_drop.sql", text)
        assert live.plan().plan.denied, text


@pytest.mark.parametrize(("text", "dropped", "kept"), [WAYS[0], WAYS[1], WAYS[8]])
def test_the_run_drops_what_the_plan_named(site: Site, text: str, dropped: str, kept: str) -> None:
    site.write("sql/1_live.sql", LIVE)
    site.write("sql/2_drop.sql", text)
    site.manifest(database={"migrations": "sql"})
    assert isinstance(site.run()[-1], ApplyDone)
    found = site.sql(
        f"select to_regclass('{dropped}') is null as gone, to_regclass('{kept}') is not null as kept"
    )
    assert found == [{"gone": True, "kept": True}], text
