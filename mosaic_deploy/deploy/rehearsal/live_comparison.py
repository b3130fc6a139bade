"""What a rehearsal means for the live database: how large what it locks and destroys is there, and which findings hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.deploy.rehearsal.findings import SeenFile, refuted, unreported
from mosaic_deploy.deploy.rehearsal.observed import WatchedStatement
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.relations import read_sizes
from mosaic_deploy.model.catalog import LiveSize, Rehearsal, SchemaChange, SchemaObject
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.sql.guard.locks import LOCK_MODES

_FIRST_BLOCKING = LOCK_MODES.index("SHARE") + 1
_SIZED = frozenset({"table", "materialized view", "column", "index"})
_MOST_SIZES = 500


def compare_with_live(
    rehearsal: Rehearsal,
    live: Api,
    project: str,
    planned: PreparedPlan,
    net: Sequence[SchemaChange],
    statements: Sequence[WatchedStatement],
    written: Sequence[SchemaObject] = (),
) -> Rehearsal:
    """The rehearsal with its parts about the live database. One read-only request to it; none if nothing is locked, written or destroyed.

    `written` are tables whose size is also wanted. If that fails, sizes aren't known; nothing is raised.
    """
    destroyed = tuple(each.object for each in net if each.counts_as == "drop")
    locked = dict.fromkeys(table for each in statements for table in _harmed(each))
    wanted = [each for each in dict.fromkeys((*destroyed, *written, *locked)) if each.kind in _SIZED]
    sizes = _read(live, project, wanted[:_MOST_SIZES]) if project and wanted else ()
    by_object = {size.object: size for size in sizes}
    files = [*_files(planned, statements)]
    return replace(
        rehearsal,
        added=sum(each.counts_as == "add" for each in net),
        changed=sum(each.counts_as == "change" for each in net),
        destroyed=destroyed,
        sizes=sizes,
        refuted=refuted(files, by_object),
        found=unreported(files, by_object),
    )


def _harmed(seen: WatchedStatement) -> Iterator[SchemaObject]:
    """The tables that it blocks, rewrites or reads."""
    yield from (table for table, rank in seen.taken.items() if rank >= _FIRST_BLOCKING)
    yield from sorted(seen.rewritten | seen.scanned)


def _read(live: Api, project: str, wanted: Sequence[SchemaObject]) -> tuple[LiveSize, ...]:
    try:
        return read_sizes(live, project, wanted)
    except MosaicError:
        return ()


def _files(planned: PreparedPlan, statements: Sequence[WatchedStatement]) -> Iterator[SeenFile]:
    parsed = {each.file.migration.version: each for each in planned.parsed}
    for change in planned.plan.changes:
        if isinstance(change, ApplyMigration):
            file = parsed[change.version].file
            yield SeenFile(
                file.text,
                [one for step in parsed[change.version].steps for one in step.statements],
                [one for one in planned.plan.hazards if one.location.file == file.relative_path],
                [one for one in statements if one.address == change.address],
            )
