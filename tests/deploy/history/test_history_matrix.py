"""Every way in which a folder can contradict its history: the first suggestion always leads to an empty plan.

No migration runs twice and none is skipped: each multiplies its own number by ten. A project is deployed once; each
case gets its database and its folder back. All pairs of edits: MOSAIC_HISTORY_MATRIX=all (4 minutes).
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import click
import pytest

from mosaic_deploy.cli.program import cli
from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.deploy.history.amend import apply_history_changes
from mosaic_deploy.deploy.history.repair import REPAIR, plan_repair
from mosaic_deploy.deploy.history.restore import plan_restore
from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back
from mosaic_deploy.diff.history.repairs import RepairRequest
from mosaic_deploy.errors import MigrationDiverged
from mosaic_deploy.model.event import ApplyDone
from mosaic_deploy.source.migrations.rearrange import rearrange
from tests.deploy.conftest import OPTIONS, Site
from tests.deploy.histories import known, sql

Folder = dict[str, str]
Edit = Callable[[Folder], bool]
"""Changes a folder; False if the folder doesn't have what it changes."""


def effect(name: str) -> str:
    return f"update fx set x = x * 10 where name = '{name}';\n"


def with_down(name: str) -> str:
    return f"-- migrate:up\n{effect(name)}-- migrate:down\nupdate fx set x = x / 10 where name = '{name}';\n"


APPLIED: Folder = {
    "1_init.sql": "create table fx (name text primary key, x bigint);\n"
    "insert into fx select unnest(array['b', 'c', 'd', 'n']), 1;\n",
    "2_b.sql": effect("b"),
    "3_c.sql": effect("c"),
    "4_d.sql": with_down("d"),
}


def find(folder: Folder, name: str) -> str | None:
    return next(
        (file for file, text in folder.items() if f"name = '{name}'" in text and file[0] != "1"), None
    )


def rename(folder: Folder, old: str, new: str) -> bool:
    if new in folder:
        return False
    folder[new] = folder.pop(old)
    return True


def on(name: str, change: Callable[[Folder, str], bool]) -> Edit:
    def edit(folder: Folder) -> bool:
        file = find(folder, name)
        return file is not None and change(folder, file)

    return edit


def altered(name: str) -> Edit:
    def edit(folder: Folder) -> bool:
        file = find(folder, name)
        if file:
            folder[file] = folder[file].replace(effect(name), effect(name).replace("10", "1000"))
        return file is not None

    return edit


def remove(folder: Folder, file: str) -> bool:
    return bool(folder.pop(file))


def extend(folder: Folder, file: str) -> bool:
    statement = "update fx set x = x + 0 where name = 'b';\n"
    head, mark, down = folder[file].partition("-- migrate:down")
    folder[file] = head + statement + mark + down
    return True


def reformat(folder: Folder, file: str) -> bool:
    folder[file] = folder[file].replace("update fx", "UPDATE  fx", 1)
    return True


def carriage_returns(folder: Folder, file: str) -> bool:
    folder[file] = folder[file].replace("\n", "\r\n")
    return True


def retitle(folder: Folder, file: str) -> bool:
    return rename(folder, file, file.replace(".sql", "_more.sql"))


def renumber(folder: Folder, file: str) -> bool:
    return rename(folder, file, f"{_free_number(folder)}{file[1:]}")


def _free_number(folder: Folder) -> int:
    return max(int(name.partition("_")[0]) for name in folder) + 1


def taken_number(folder: Folder, file: str) -> bool:
    """Another branch's migration has its number now, and it comes later."""
    if find(folder, "n"):
        return False
    renumber(folder, file)
    folder[f"{file[0]}_n.sql"] = effect("n")
    return True


def inserted(folder: Folder, file: str) -> bool:
    """Another branch's migration comes before it, and all others move up."""
    if find(folder, "n"):
        return False
    for each in sorted((name for name in folder if name >= file), reverse=True):
        folder[f"{int(each[0]) + 1}{each[1:]}"] = folder.pop(each)
    folder[f"{file[0]}_n.sql"] = effect("n")
    return True


def replaced(folder: Folder, file: str) -> bool:
    """It was deleted, and another migration has its number."""
    if find(folder, "n"):
        return False
    del folder[file]
    folder[f"{file[0]}_n.sql"] = effect("n")
    return True


def swap(one: str, other: str) -> Edit:
    def edit(folder: Folder) -> bool:
        first, second = find(folder, one), find(folder, other)
        if first is None or second is None or first == second:
            return False
        texts = folder.pop(first), folder.pop(second)
        folder[second[0] + first[1:]], folder[first[0] + second[1:]] = texts
        return True

    return edit


def squash(*names: str, new: bool) -> Edit:
    def edit(folder: Folder) -> bool:
        files = [find(folder, name) for name in names]
        if None in files or len(set(files)) < len(files):
            return False
        ups = [folder.pop(str(file)).partition("-- migrate:down")[0] for file in files]
        texts = [re.sub(r"-- migrate:up\s+", "", up) for up in ups]
        number = _free_number(folder) if new else str(files[0])[0]
        folder[f"{number}_squashed.sql"] = "".join(texts)
        return True

    return edit


def added(folder: Folder) -> bool:
    if find(folder, "n"):
        return False
    folder[f"{_free_number(folder)}_n.sql"] = effect("n")
    return True


CHANGES = (
    remove, extend, reformat, carriage_returns, retitle, renumber, taken_number, inserted, replaced,
)  # fmt: skip
EDITS: dict[str, Edit] = {
    **{f"{change.__name__} {name}": on(name, change) for change in CHANGES for name in "bcd"},
    **{f"alter {name}": altered(name) for name in "bcd"},
    **{f"swap {one}{other}": swap(one, other) for one, other in ("bc", "cd", "bd")},
    **{f"squash {''.join(names)}": squash(*names, new=False) for names in ("bc", "cd", "bcd")},
    **{f"squash {''.join(names)} anew": squash(*names, new=True) for names in ("bc", "cd", "bcd")},
    "added": added,
}


def edited_folder(names: tuple[str, ...]) -> Folder | None:
    """None if one of the edits has nothing to change after those before it."""
    folder = dict(APPLIED)
    return folder if all(EDITS[name](folder) for name in names) else None


PAIRS = [names for names in itertools.permutations(EDITS, 2) if edited_folder(names) is not None]
CASES = [
    *((name,) for name in EDITS),
    ("remove b", "squash cd anew"),
    ("swap bd", "squash bc"),
    *(PAIRS if os.environ.get("MOSAIC_HISTORY_MATRIX") == "all" else PAIRS[::29]),
]


@pytest.fixture(scope="module")
def deployed(platform, tmp_path_factory) -> Iterator[Site]:
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api

    with Api(platform.url, ApiKey(platform.api_key)) as api:
        # Other cases of this module may run in another process, or later with this fixture set up again.
        site = Site(tmp_path_factory.mktemp("matrix"), api, f"history matrix {uuid.uuid4()}")
        site.manifest(database={"migrations": "sql"})
        fill(site, APPLIED)
        site.apply()
        sql(
            site,
            "create table saved_rows as table mosaic_deploy.migrations; create table saved_fx as table fx",
        )
        yield site


def fill(site: Site, folder: Folder) -> None:
    for path in (site.root / "sql").glob("*"):
        path.unlink()
    for name, text in folder.items():
        site.write(f"sql/{name}", text)


@pytest.fixture
def site(deployed: Site) -> Site:
    sql(
        deployed,
        "delete from mosaic_deploy.migrations; insert into mosaic_deploy.migrations table saved_rows; "
        "delete from fx; insert into fx table saved_fx",
    )
    return deployed


def options_of(command: str) -> tuple[str, dict[str, object]]:
    """The command's name and its parameters, as click parses them."""
    words = shlex.split(command)[1:]
    group, parent = cli, None
    while isinstance(group, click.Group):
        parent = click.Context(group, parent=parent)
        group, words = group.get_command(parent, words[0]), words[1:]
    context = group.make_context(group.name, words, parent=parent, resilient_parsing=True)
    return str(group.name), context.params


def follow(site: Site, command: str) -> list[str]:
    """Runs a suggested command; returns the names of files that it set aside."""
    name, given = options_of(command)
    if name == "restore-file":
        wanted = plan_restore(site.api, known(site), [str(given["version"])], datetime.now(UTC))
        assert wanted, command
        return [old for old, _ in rearrange(site.root, "sql", wanted).kept]
    if name == "repair":
        request = RepairRequest(**{key: given[key] for key in ("accept", "forget", "rename", "squash")})
        events = apply_history_changes(site.api, plan_repair(site.api, known(site), request), OPTIONS, REPAIR)
    elif name == "rollback":
        events = roll_back(site.api, plan_rollback(site.api, known(site), to=str(given["to"])), OPTIONS)
    else:
        assert given["allow_out_of_order"], command
        events = site.events(site.plan(options=PlanOptions(allow_out_of_order=True)))
    last = list(events)[-1]
    assert isinstance(last, ApplyDone), last
    return []


def settle(site: Site) -> tuple[list[str], list[str]]:
    """Follows first suggestions, and applies, until the plan is empty. Returns the commands, and files set aside."""
    commands: list[str] = []
    aside: list[str] = []
    while len(commands) < 12:
        try:
            planned = site.plan()
        except MigrationDiverged as error:
            commands.append(str(error.next_actions[0].command))
            aside += follow(site, commands[-1])
            continue
        if not planned.plan.changes:
            return commands, aside
        last = site.run(planned)[-1]
        assert isinstance(last, ApplyDone), last
    raise AssertionError(commands)


@pytest.mark.parametrize("names", CASES, ids=" then ".join)
def test_the_first_suggestion_leads_to_an_empty_plan(site, names):
    folder = edited_folder(names)
    assert folder is not None
    fill(site, folder)
    commands, aside = settle(site)
    found = {row["name"]: row["x"] for row in sql(site, "select name, x from fx order by 1")}
    left = {path.name: path.read_text() for path in (site.root / "sql").glob("*.sql")}
    expected = {name: 10 if find(left, name) else 1 for name in "bcdn"}
    assert found == expected, (commands, aside)
    lost = [name for name in "bcdn" if find(dict(APPLIED) | folder, name) and not find(left, name)]
    assert lost in ([], ["d"] if any("rollback" in command for command in commands) else []), commands
