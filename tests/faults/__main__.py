"""Runs the fault matrix: `python -m tests.faults`. Prints a table in Markdown, and every case with findings.

A full run is thousands of deploys. `--most 300` runs a sample that is the same every time; with `--results FILE` a run
continues where an earlier one stopped. Exits with 1 if anything was found.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import signal
import sys
from pathlib import Path

from tests.faults.case import Case, Outcome
from tests.faults.fault import FAULTS
from tests.faults.matrix import (
    all_cases,
    findings_list,
    markdown_table,
    open_arenas,
    references_of,
    run_cases,
)
from tests.faults.scenario import Scenario

_ENDPOINTS = (
    "",
    "one-statement",
    "other-connection",
    "wrapped",
    "one-statement,wrapped,other-connection",
    "finishing",
    "shared-session",
)


def main() -> int:
    # Whatever ends the matrix, its platforms are stopped. A shell that starts it with & ignores SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    options = _parse_arguments()
    faults = [fault for fault in FAULTS.values() if options.disk or not fault.fills_disk]
    scenarios = [Scenario(update, outside="wrapped" not in options.endpoint) for update in (False, True)]
    results = Results(options.results)
    with open_arenas(options.jobs, options.endpoint, own_disk=options.disk) as arenas:
        references = references_of(arenas[0], scenarios)
        chosen = [
            case
            for case in all_cases(references, faults)
            if any(fnmatch.fnmatchcase(str(case), pattern) for pattern in options.patterns or ["*"])
        ]
        if options.list:
            sys.stdout.write("".join(f"{case}\n" for case in chosen))
            return 0
        chosen = chosen[: options.most or None]
        waiting = [case for case in chosen if not results.has(case)]
        sys.stderr.write(f"{len(chosen)} cases, {len(waiting)} of them to run\n")
        run_cases(arenas, waiting, references, results.add)
    sys.stdout.write(f"{markdown_table(results.outcomes)}\n\n{findings_list(results.outcomes)}\n")
    return 1 if any(outcome.findings for outcome in results.outcomes) else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "patterns", nargs="*", help="run only matching cases, such as 'update: SIG*: SQL take*'"
    )
    parser.add_argument("--most", type=int, default=0, help="run at most N cases, spread over all")
    parser.add_argument("--endpoint", choices=_ENDPOINTS, default="", help="how the SQL endpoint behaves")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="platforms used at the same time"
    )
    parser.add_argument(
        "--disk",
        action="store_true",
        help="also fill the platform's disk, which is in memory then; needs root",
    )
    parser.add_argument("--results", type=Path, help="keep outcomes in this file, and skip those it has")
    parser.add_argument("--list", action="store_true", help="list the cases and run none")
    return parser.parse_args()


class Results:
    """Outcomes, also as lines of JSON in a file."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self.outcomes: list[Outcome] = []
        self._known: dict[str, dict[str, object]] = {}
        if file and file.exists():
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            self._known = {str(row["case"]): row for row in rows}

    def has(self, case: Case) -> bool:
        """Whether an earlier run has the case. Its outcome then counts for this run, too."""
        row = self._known.get(str(case))
        if row is None:
            return False
        self.outcomes.append(Outcome(case, row["fired"], row["runs"], row["findings"]))  # type: ignore[arg-type]
        return True

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        for finding in outcome.findings:
            sys.stderr.write(f"{outcome.case}: {finding}\n")
        if self._file and "checker" not in outcome.kinds:
            row = {
                "case": str(outcome.case), "fired": outcome.fired, "runs": outcome.runs, "findings": outcome.findings,
                "output": outcome.output[-4000:] if outcome.findings else "",
            }  # fmt: skip
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    sys.exit(main())
