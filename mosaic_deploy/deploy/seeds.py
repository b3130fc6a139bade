"""Running seeds: after the migrations, each in one transaction together with its row in the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.deploy.pieces import Piece, run_pieces
from mosaic_deploy.deploy.run import Run
from mosaic_deploy.model.change import RunSeed
from mosaic_deploy.model.event import Event
from mosaic_deploy.source.migrations import Parsed
from mosaic_deploy.sql.step import Purpose, Step
from mosaic_deploy.sql.units import Carrier, Unit

_NOTHING = Unit((), Carrier.BATCH)


def run_seeds(run: Run) -> Iterator[Event]:
    """Runs the plan's seeds. Raises MigrationFailed at a statement that PostgreSQL refuses."""
    parsed = {p.file.shown: p for p in run.planned.seeds}
    changes = [change for change in run.changes if isinstance(change, RunSeed)]
    yield from run_pieces(run, [_piece(change, parsed[change.path]) for change in changes])


def _piece(change: RunSeed, parsed: Parsed) -> Piece:
    step = Step(
        version=parsed.file.migration.version,
        file=change.path,
        checksum=change.sha256,
        semantic="",
        before="",
        source=parsed.file.text,
        number=1,
        units=1,
        unit=parsed.units[0] if parsed.units else _NOTHING,
        purpose=Purpose.SEED,
        size=change.size,
    )
    return Piece(change, step, parsed.file)
