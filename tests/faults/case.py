"""One case: a fault at one request of an apply, what the user does then, and whether everything is as without it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mosaic_deploy.errors import MosaicError
from tests.faults.arena import Arena
from tests.faults.fault import Answer, Fault
from tests.faults.impatient import LIMIT
from tests.faults.proxy import Aim
from tests.faults.requests_named import Request
from tests.faults.runs import APPLY, Ended, apply_undisturbed, planned_changes, run
from tests.faults.scenario import Scenario
from tests.faults.state import NOTHING, State

_MOST_RUNS = 4
_MOST_DIFFERENCES = 3


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: its requests, and the states before and after."""

    requests: tuple[Request, ...]
    before: State
    after: State


@dataclass(frozen=True)
class Case:
    """A fault at a request of a scenario's apply."""

    scenario: Scenario
    fault: Fault
    request: Request

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.fault.name}: {self.request}"


@dataclass
class Outcome:
    """What happened. `findings` are what is wrong, each `kind: details`; `runs` are exit codes and error codes."""

    case: Case
    fired: bool = True
    runs: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    output: str = ""

    def find(self, kind: str, details: object) -> None:
        self.findings.append(f"{kind}: {details}")

    @property
    def kinds(self) -> list[str]:
        return sorted({finding.partition(":")[0] for finding in self.findings})


def record_reference(arena: Arena, scenario: Scenario, name: str) -> Reference:
    """Applies the scenario undisturbed."""
    folder = _prepare(arena, scenario, name)
    before = arena.reader.read(name)
    scenario.write(folder, name)
    aim = Aim()
    ended = run(arena, folder, aim, *_apply(scenario))
    assert ended.exit_code == 0, ended.output
    changes = planned_changes(arena, folder)
    assert changes == [], changes
    return Reference(tuple(aim.seen), before, arena.reader.read(name))


def run_case(arena: Arena, case: Case, reference: Reference, name: str) -> Outcome:
    """Runs a case in a project of its own, called `name`."""
    outcome = Outcome(case)
    folder = _prepare(arena, case.scenario, name)
    case.scenario.write(folder, name)
    aim = Aim(case.fault, case.request, hold=LIMIT + 0.5)
    first = run(arena, folder, aim, *_apply(case.scenario), impatient=case.fault.answer is Answer.HOLD)
    arena.recover()
    if not aim.fired:
        return Outcome(case, fired=False, output=first.output)
    _note(outcome, first)
    if first.exit_code == 0:
        _check_success(arena, reference, outcome, folder)
    elif first.exit_code is not None and first.exit_code > 0:
        _check_failure(arena.reader.read(name), reference, outcome, first)
    if aim.late:
        arena.proxy.deliver_late()
        if first.exit_code == 0:
            _check_success(arena, reference, outcome, folder, " after the late request")
    if first.exit_code != 0:
        _finish(arena, outcome, folder)
        _check_success(arena, reference, outcome, folder, " in the end")
    shutil.rmtree(folder.parent)
    return outcome


def _apply(scenario: Scenario) -> tuple[str, ...]:
    """The command. An update calls a procedure, whose effects on the rows that are there can't be measured."""
    return (*APPLY, "--allow", "destructive") if scenario.update else APPLY


def _prepare(arena: Arena, scenario: Scenario, name: str) -> Path:
    folder = arena.folder / name / "site"
    folder.mkdir(parents=True)
    if scenario.update:
        scenario.write_before(folder, name)
        apply_undisturbed(arena, folder)
    return folder


def _note(outcome: Outcome, ended: Ended) -> None:
    """Records a run, and checks what holds for every run."""
    code = ended.error.get("code")
    outcome.runs.append(f"{ended.exit_code}" + (f" {code}" if code else ""))
    outcome.output += ended.output
    if ended.exit_code is None:
        outcome.find("hang", "no end within the time limit")
    if "Traceback" in ended.output or "a bug in mosaic-deploy" in ended.output:
        outcome.find("traceback", ended.output[-300:])
    killed = outcome.case.fault.kills_deployer and len(outcome.runs) == 1
    if ended.exit_code not in ({None, -9} if killed else {None, 0, 1, 130}):
        outcome.find("exit code", ended.exit_code)
    if ended.exit_code == 130 and code != "interrupted":
        outcome.find("exit code", f"130 for {code}")
    if ended.exit_code and ended.exit_code > 0 and not code:
        outcome.find("no error document", ended.output[-300:])


def _check_success(
    arena: Arena, reference: Reference, outcome: Outcome, folder: Path, when: str = " at exit 0"
) -> None:
    """The state is that of the undisturbed run, and a plan is empty."""
    differences = arena.reader.read(folder.parent.name).differences(reference.after)
    for line in differences[:_MOST_DIFFERENCES]:
        outcome.find(f"state{when}", line)
    if len(differences) > _MOST_DIFFERENCES:
        outcome.find(f"state{when}", f"and {len(differences) - _MOST_DIFFERENCES} more differences")
    try:
        if changes := planned_changes(arena, folder):
            outcome.find(f"plan{when}", f"not empty: {', '.join(changes)[:200]}")
    except MosaicError as error:
        outcome.find(f"plan{when}", f"{error.code}: {error.message}")


def _check_failure(state: State, reference: Reference, outcome: Outcome, ended: Ended) -> None:
    """What the error claims is so."""
    claim = ended.error.get("mutation_state")
    changes = state.differences(reference.before, ledger=False)
    if claim == "none" and changes:
        outcome.find("mutation_state", f"`none` ({ended.error['code']}), but changed: {changes[0][:120]}")
    if claim in ("partial", "committed") and not changes:
        outcome.find("mutation_state", f"`{claim}` ({ended.error['code']}), but nothing changed")
    for address in ended.document.get("done", ()):
        if not _is_done(address, state, reference.after):
            outcome.find("done", f"{address} is reported done")


def _is_done(address: str, state: State, wanted: State) -> bool:
    """Whether a change that was reported done is visible. Kinds without a check count as done."""
    kind, _, path = address.partition(":")
    if kind in ("static", "storage"):
        return bool(_files(state, kind).get(path) == _files(wanted, kind).get(path))
    if kind == "migration":
        return any(row[1] == path and row[4] == row[5] for row in state.ledger.get("migrations", ()))
    return kind != "project" or state != NOTHING


def _files(state: State, kind: str) -> Mapping[str, str]:
    return state.visible.get(kind, {})  # type: ignore[no-any-return]


def _finish(arena: Arena, outcome: Outcome, folder: Path) -> None:
    """Runs the same command until it is done, and does what a run asks for."""
    allowed: tuple[str, ...] = ()
    for _ in range(_MOST_RUNS):
        ended = run(arena, folder, Aim(), *_apply(outcome.case.scenario), *allowed)
        _note(outcome, ended)
        code = ended.error.get("code")
        if ended.exit_code == 0:
            return
        if code == "lock_held":
            outcome.find("locked", ended.error["message"])
            arena.reader.execute(folder.parent.name, "DELETE FROM mosaic_deploy.lease")
        elif code == "destructive_unconfirmed":
            # Rows of an interrupted CALL can't be told from somebody else's, so calling it again is asked about.
            if not outcome.case.request.is_statement:
                outcome.find("consent", ended.error["message"])
            allowed = ("--allow", "destructive")
        elif ended.error.get("mutation_state") == "unknown" and "migrate repair" in ended.output:
            _answer(arena, outcome, folder, ended)
        else:
            outcome.find("later run", f"{code}: {ended.error.get('message')}")
    outcome.find("not done", f"after {_MOST_RUNS} more runs")


def _answer(arena: Arena, outcome: Outcome, folder: Path, ended: Ended) -> None:
    """Says whether a statement took effect, as a user would who looks. Being asked is right only if it may have been sent."""
    if not (outcome.case.request.is_statement and outcome.case.fault.may_lose_outcome):
        outcome.find("asked", ended.error["message"])
    database = str(arena.reader.read(folder.parent.name).visible.get("database"))
    file = next(path for path in ("0008_call.sql", "0015_call.sql") if path in ended.output)
    took_effect = ("call 2" if file.startswith("0008") else "again 2") in database
    option = "--applied" if took_effect else "--not-applied"
    commands = [action["command"] for action in ended.error["next_actions"] if action.get("command")]
    offered = [command for command in commands if f" {option} " in f"{command} "]
    if not offered:
        outcome.find("no repair offered", commands)
        return
    repaired = run(arena, folder, Aim(), *shlex.split(offered[0])[1:], "--yes")
    if repaired.exit_code != 0:
        outcome.find("repair", repaired.output[-300:])
