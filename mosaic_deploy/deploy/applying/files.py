"""Static files and assets: intent first, then the bytes, then the ledger, so that no crash leaves a lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.deploy.applying.transfers import ChangeT, transfer
from mosaic_deploy.diff.plan import deletion_order, upload_order
from mosaic_deploy.errors import Interrupted, Location, Problem, TransfersFailed
from mosaic_deploy.live.api.rate_limit import MemoryBudget, RateLimiter
from mosaic_deploy.live.api.upload import (
    CHUNK_SIZE,
    delete_static_file,
    delete_storage_file,
    upload_static_file,
    upload_storage_file,
)
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.ledger import rows as ledger_rows
from mosaic_deploy.live.snapshot import read_storage_sizes
from mosaic_deploy.model.change import DeleteStatic, DeleteStorageFile, Put, PutStatic, PutStorageFile
from mosaic_deploy.model.event import BytesSent, ChangeDone, Event
from mosaic_deploy.model.snapshot import Object, ObjectState
from mosaic_deploy.source.files.local_file import read_unchanged, unchanged_chunks

_MAX_ROWS = 1000
"""Ledger rows written in one statement."""
_RECORD_EVERY = 200
"""Files after which the ledger hears of them, so that a crash costs no more than these."""
_REPORT_INTERVAL = 0.25
"""Seconds between two words about the bytes of one file."""
_MAX_BYTES_IN_MEMORY = 32 * 1024 * 1024
"""Bytes of static files that are in memory at the same time; on its way a file is there some four times over."""
_MAX_LISTINGS = 20
"""How often storage is listed, twice a second, until it shows what was stored."""

ReportEvent = Callable[[Event], None]


def put_storage_files(run: Run) -> Iterator[Event]:
    """Sends what is wanted in storage, and looks at the end whether storage lists it at its size."""
    puts = [change for change in run.changes if isinstance(change, PutStorageFile)]
    _mark_pending(run, ledger.STORAGE, puts)
    yield from _send_all(run, ledger.STORAGE, puts, _storage_sender(run))
    _check_stored(run, puts)


def put_static_files(run: Run) -> Iterator[Event]:
    """What pages refer to, then pages, then the front page: each group is live before the next begins."""
    puts = [change for change in run.changes if isinstance(change, PutStatic)]
    _mark_pending(run, ledger.STATIC, puts)
    for _, group in groupby(puts, key=lambda put: upload_order(put)[0]):
        yield from _send_all(run, ledger.STATIC, list(group), _static_sender(run))


def delete_objects(run: Run) -> Iterator[Event]:
    """Pages first, so that none that is still live has lost its parts; then their parts, then assets."""
    static = [change for change in run.changes if isinstance(change, DeleteStatic)]
    for _, group in groupby(static, key=lambda change: deletion_order(change.path)[0]):
        yield from _delete_all(run, ledger.STATIC, list(group), delete_static_file)
    storage_files = [change for change in run.changes if isinstance(change, DeleteStorageFile)]
    yield from _delete_all(run, ledger.STORAGE, storage_files, delete_storage_file)


def clean_up_ledger(run: Run) -> None:
    """Puts the ledger's rows right that no change is about: what is gone is forgotten, what is left is marked."""
    for kind, found in run.planned.ledger_cleanup().items():
        for first in range(0, len(found.forget), _MAX_ROWS):
            run.write(
                ledger_rows.delete_objects_sql(kind, found.forget[first : first + _MAX_ROWS], run.claim.token)
            )
        _write_rows(run, kind, found.mark)


def _mark_pending(run: Run, kind: str, puts: Sequence[Put]) -> None:
    """Write-ahead: the ledger says `pending` before the first byte leaves."""
    _mark_rows(run, kind, puts, ObjectState.PENDING)


def _mark_rows(run: Run, kind: str, puts: Sequence[Put], state: ObjectState) -> None:
    _write_rows(run, kind, [Object(put.path, put.sha256, put.size, state) for put in puts])


def _write_rows(run: Run, kind: str, objects: Sequence[Object]) -> None:
    for first in range(0, len(objects), _MAX_ROWS):
        rows = objects[first : first + _MAX_ROWS]
        run.write(ledger_rows.upsert_objects_sql(kind, rows, run.claim.token, run.claim.deploy_id))


def _send_all(
    run: Run, kind: str, puts: Sequence[Put], send: Callable[[Put, ReportEvent], None]
) -> Iterator[Event]:
    yield from _transfer_and_record(
        run, puts, send, lambda done: _mark_rows(run, kind, done, ObjectState.LIVE)
    )


def _delete_all(
    run: Run,
    kind: str,
    deletes: Sequence[DeleteStatic | DeleteStorageFile],
    delete: Callable[..., None],
) -> Iterator[Event]:
    def send(change: DeleteStatic | DeleteStorageFile, _: ReportEvent) -> None:
        run.heartbeat.check()
        delete(run.api, run.project.id, change.path)

    def forget(done: Sequence[DeleteStatic | DeleteStorageFile]) -> None:
        run.write(ledger_rows.delete_objects_sql(kind, [change.path for change in done], run.claim.token))

    yield from _transfer_and_record(run, deletes, send, forget)


def _transfer_and_record(
    run: Run,
    changes: Sequence[ChangeT],
    send: Callable[[ChangeT, ReportEvent], None],
    record: Callable[[Sequence[ChangeT]], None],
) -> Iterator[Event]:
    """Makes changes in parallel and records what was made, also where one fails: others' work isn't thrown away."""
    done: list[ChangeT] = []
    try:
        for event in transfer(changes, send, run.parallelism, run.api.rate_limiter.cancel):
            if isinstance(event, ChangeDone):
                done.append(event.change)  # type: ignore[arg-type]  # transfer's events are of what it was given
                if len(done) == _RECORD_EVERY:
                    record(done)
                    done = []
            yield event
    finally:
        if done:
            record(done)


def _static_sender(run: Run) -> Callable[[Put, ReportEvent], None]:
    desired = run.planned.desired
    room = MemoryBudget(_MAX_BYTES_IN_MEMORY)

    def send(put: Put, _: ReportEvent) -> None:
        run.heartbeat.check()
        made = desired.generated.get(put.path)
        with room.reserve(put.size):
            content = read_unchanged(desired.static[put.path]) if made is None else made
            upload_static_file(run.api, run.project.id, put.path, content)

    return send


def _storage_sender(run: Run) -> Callable[[Put, ReportEvent], None]:
    storage_files = run.planned.desired.storage_files

    def send(put: Put, report: ReportEvent) -> None:
        run.heartbeat.check()
        file = storage_files[put.path]
        upload_storage_file(
            run.api,
            run.project.id,
            file.object,
            lambda: unchanged_chunks(file, CHUNK_SIZE),
            _SendProgress(put, report, run.api.rate_limiter),
        )

    return send


class _SendProgress:
    """Reports the bytes of one file now and then, and always the last of them. Raises Interrupted once given up."""

    def __init__(self, put: Put, report: ReportEvent, rate_limiter: RateLimiter) -> None:
        self._put = put
        self._pace = rate_limiter
        self._report = report
        self._reported_at = time.monotonic()

    def __call__(self, total: int) -> None:
        if self._pace.cancelled:
            raise Interrupted(f"{self._put.path} was not sent to its end")
        now = time.monotonic()
        if total >= self._put.size or now - self._reported_at >= _REPORT_INTERVAL:
            self._reported_at = now
            self._report(BytesSent(self._put.address, total))


def _check_stored(run: Run, puts: Sequence[Put]) -> None:
    """Raises TransfersFailed for files that storage lists at another size than was sent, or not at all.

    Their rows go back to `pending`, so the next run sends them again.
    """
    if not puts:
        return
    for _ in range(_MAX_LISTINGS):
        wrong = _size_mismatches(run, puts)
        if not wrong:
            return
        run.api.pause(0.5)
    _mark_rows(run, ledger.STORAGE, [put for put, _ in wrong], ObjectState.PENDING)
    raise TransfersFailed(
        f"{len(wrong)} stored {'file is' if len(wrong) == 1 else 'files are'} not what was sent",
        problems=[Problem(why, Location(put.path)) for put, why in wrong],
        hint="run the same command again: it sends them once more",
        mutation_state="partial",
    )


def _size_mismatches(run: Run, puts: Sequence[Put]) -> list[tuple[Put, str]]:
    sizes = read_storage_sizes(run.api, run.project.id)
    if sizes is None:
        return []
    found = []
    for put in puts:
        if put.path not in sizes:
            found.append((put, "storage doesn't list it"))
        elif sizes[put.path] not in (None, put.size):
            found.append((put, f"storage lists {sizes[put.path]} bytes, and {put.size} were sent"))
    return found
