"""The matrix: every fault at every request, on several platforms at the same time, and its table."""

from __future__ import annotations

import hashlib
import itertools
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.case import Case, Outcome, Reference, record_reference, run_case
from tests.faults.fault import FAULTS, Fault
from tests.faults.scenario import Scenario

_numbers = itertools.count(1)
_DISK = "800m"
Report = Callable[[Outcome], None]


def all_cases(references: dict[Scenario, Reference], faults: Sequence[Fault]) -> list[Case]:
    """Every case in an order that is the same in every run, and spread: the first N are a sample of all."""
    cases = [
        Case(scenario, fault, request)
        for scenario, reference in references.items()
        for fault in faults
        for request in reference.requests
    ]
    return sorted(cases, key=lambda case: hashlib.sha256(str(case).encode()).digest())


def references_of(arena: Arena, scenarios: Sequence[Scenario]) -> dict[Scenario, Reference]:
    return {scenario: record_reference(arena, scenario, new_name()) for scenario in scenarios}


def run_cases(
    arenas: Sequence[Arena], cases: Sequence[Case], references: dict[Scenario, Reference], report: Report
) -> None:
    """Runs the cases, one at a time on each platform. `report` gets each outcome, one at a time."""
    free: queue.Queue[Arena] = queue.Queue()
    for arena in arenas:
        free.put(arena)
    lock = threading.Lock()

    def run_one(case: Case) -> None:
        arena, name = free.get(), new_name()
        try:
            outcome = run_case(arena, case, references[case.scenario], name)
            arena.reader.delete(name)
        except Exception as error:  # one broken case doesn't end the others
            outcome = Outcome(case, findings=[f"checker: {type(error).__name__}: {error}"])
        finally:
            free.put(arena)
        with lock:
            report(outcome)

    pool = ThreadPoolExecutor(len(arenas))
    try:
        for _ in pool.map(run_one, cases):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def new_name() -> str:
    return f"matrix {next(_numbers)}"


@contextmanager
def open_arenas(count: int, endpoint: str = "", *, own_disk: bool = False) -> Iterator[list[Arena]]:
    """Platforms in a temporary folder; they are reset and removed at the end.

    With `own_disk` each is on a file system of its own, in memory, which may be filled. Only root can mount it.
    """
    root = Path(tempfile.mkdtemp(prefix="mosaic-faults-"))
    # PostgreSQL runs as another user if root runs this.
    root.chmod(0o711)
    arenas: list[Arena] = []
    try:
        for number in range(count):
            folder = root / str(number)
            folder.mkdir()
            if own_disk:
                mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=711", "tmpfs", str(folder)]
                subprocess.run(mount, check=True, timeout=30)
            arenas.append(Arena(folder, endpoint))
        yield arenas
    finally:
        for arena in arenas:
            arena.close()
            if own_disk:
                subprocess.run(["umount", str(arena.folder)], check=False, timeout=30)
        shutil.rmtree(root, ignore_errors=True)


def markdown_table(outcomes: Sequence[Outcome]) -> str:
    """One row per fault, in the order of FAULTS."""
    lines = [
        "| fault | cases | done by the first run | by a later run | findings |",
        "|---|---:|---:|---:|---:|",
    ]
    total = [0, 0, 0, 0]
    for name in FAULTS:
        mine = [outcome for outcome in outcomes if outcome.case.fault.name == name and outcome.fired]
        if not mine:
            continue
        first = sum(outcome.runs[:1] == ["0"] for outcome in mine)
        wrong = sum(bool(outcome.findings) for outcome in mine)
        row = [len(mine), first, len(mine) - first, wrong]
        total = [a + b for a, b in zip(total, row, strict=True)]
        lines.append(f"| {name} | " + " | ".join(map(str, row)) + " |")
    lines.append("| **all** | " + " | ".join(map(str, total)) + " |")
    return "\n".join(lines)


def findings_list(outcomes: Sequence[Outcome]) -> str:
    """Each case with findings, and what was found."""
    lines = []
    for outcome in sorted(outcomes, key=lambda each: (each.kinds, str(each.case))):
        if outcome.findings:
            lines.append(f"- {outcome.case} (runs: {', '.join(outcome.runs)})")
            lines += [f"  - {finding}" for finding in outcome.findings[:4]]
    return "\n".join(lines)
