"""Runs seeds and down migrations: SQL files that are one transaction each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mosaic_deploy.deploy.applying.failure_facts import correction_hint, failure_facts
from mosaic_deploy.deploy.applying.migrations import checked_step, run_session
from mosaic_deploy.deploy.applying.run import Run, agreed_effects
from mosaic_deploy.deploy.applying.stopped_step import approver, stopped_error
from mosaic_deploy.deploy.planning.request_sizes import large_step_hint
from mosaic_deploy.errors import MigrationFailed
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.live.database.runner import Runner
from mosaic_deploy.model.change import Change, RunRepeatable, RunSeed
from mosaic_deploy.model.event import ChangeDone, ChangeStarted, Event, Noted, Waiting
from mosaic_deploy.source.migrations.files import ParsedFile
from mosaic_deploy.sql.execution.split import EMPTY_STEP
from mosaic_deploy.sql.execution.step import Purpose, Step
from mosaic_deploy.sql.guard.rehearsed import NOTHING_TOUCHED


@dataclass(frozen=True, slots=True)
class FileStep:
    """A change, the step that makes it, and the parsed file for error locations."""

    change: Change
    step: Step
    parsed: ParsedFile


def run_file_steps(run: Run, file_steps: Sequence[FileStep]) -> Iterator[Event]:
    """Runs the steps in order. Raises MigrationFailed for a statement that PostgreSQL rejects."""
    if not file_steps:
        return
    by_version = {file_step.step.version: file_step for file_step in file_steps}
    runner = Runner(
        run.api, run.project.id, run_session(run), on_running=run.on_running, approve=approver(run)
    )
    began = time.monotonic()
    yield ChangeStarted(file_steps[0].change)
    try:
        steps = [file_step.step for file_step in file_steps]
        for done in runner.run(steps):
            run.heartbeat.check()
            if isinstance(done, Waiting | Noted):
                yield done
                # The time of a question isn't the step's.
                began = time.monotonic() if isinstance(done, Noted) else began
                continue
            seconds, began = time.monotonic() - began, time.monotonic()
            for step in done:
                report = runner.reports.of((step.version, step.number), seconds / len(done))
                yield ChangeDone(by_version[step.version].change, report.seconds or 0.0, (report,))
            del steps[: len(done)]
            yield from (ChangeStarted(by_version[step.version].change) for step in steps[:1])
    except StepFailed as failure:
        file_step = by_version[failure.step.version]
        yield ChangeStarted(file_step.change)
        if stopped := stopped_error(run, failure, file_step.parsed.file.relative_path, "rolled back"):
            raise stopped from None
        raise MigrationFailed(
            f"{failure.message} ({_outcome(file_step, failure)})",
            **failure_facts(failure, file_step.parsed),
            hint=_hint(file_step, failure),
        ) from None


def _outcome(file_step: FileStep, failure: StepFailed) -> str:
    if failure.too_large:
        return "nothing of it ran"
    if file_step.step.repeatable:
        return "this file was rolled back"
    name = "seed" if file_step.step.purpose is Purpose.SEED else "down migration"
    return f"this {name} was rolled back"


def _hint(file_step: FileStep, failure: StepFailed) -> str:
    if not failure.too_large:
        return correction_hint(failure, file_step.parsed.file.relative_path)
    if file_step.step.purpose is Purpose.SEED:
        return large_step_hint(file_step.parsed, 1, single_transaction=False)
    return (
        "run its statements with psql (`mosaic-deploy credentials --reveal` prints the database URL), then record that "
        f"with `mosaic-deploy migrate repair --forget {file_step.step.version}`"
    )


def run_seeds(run: Run) -> Iterator[Event]:
    """Runs the plan's seeds. Raises MigrationFailed for a statement that PostgreSQL rejects."""
    parsed = {p.file.relative_path: p for p in run.planned.seeds}
    changes = [change for change in run.changes if isinstance(change, RunSeed)]
    yield from run_file_steps(run, [_file_step(run, change, parsed[change.path]) for change in changes])


def seed_step(change: RunSeed, parsed: ParsedFile, manifest: str) -> Step:
    """The step that runs a seed, without checks and an agreement. A seed is one step."""
    return Step(
        version=parsed.file.migration.version,
        file=change.path,
        checksum=change.sha256,
        semantic="",
        semantic_before="",
        source=parsed.file.text,
        number=1,
        steps=1,
        sql=parsed.steps[0] if parsed.steps else EMPTY_STEP,
        purpose=Purpose.SEED,
        size=change.size,
        manifest=manifest,
        repeatable=isinstance(change, RunRepeatable),
    )


def _file_step(run: Run, change: RunSeed, parsed: ParsedFile) -> FileStep:
    step = seed_step(change, parsed, run.planned.desired.snapshot.manifest)
    checked = checked_step(step.sql, 1, parsed.file, run.planned.plan.hazards)
    touches = run.rehearsed().get((change.address, 1), NOTHING_TOUCHED)
    agreed = agreed_effects(run, parsed.file, 1, change.address)
    return FileStep(change, replace(step, sql=checked, agreed=agreed, touches=touches), parsed)
