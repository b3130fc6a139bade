"""Uploads and deletes static and storage files.

The ledger says `pending` before the first byte is sent and `live` after the last, so it is right after any crash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from mosaic_deploy.deploy.applying.progress import relay
from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.deploy.applying.transfers import ChangeT, ReportEvent, SendProgress, transfer
from mosaic_deploy.deploy.planning.read_target import at_listed_addresses
from mosaic_deploy.diff.plan import deletion_order, upload_order
from mosaic_deploy.errors import RequestRefused
from mosaic_deploy.live.api.rate_limit import MemoryBudget
from mosaic_deploy.live.api.upload import (
    CHUNK_SIZE,
    delete_static_file,
    delete_storage_file,
    upload_static_file,
    upload_storage_file,
)
from mosaic_deploy.live.check_stored import stored_wrongly, stored_wrongly_error
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.ledger import rows as ledger_rows
from mosaic_deploy.live.snapshot import read_storage_listing
from mosaic_deploy.model.change import DeleteStatic, DeleteStorageFile, Put, PutStatic, PutStorageFile
from mosaic_deploy.model.event import ChangeDone, ChangeFailed, ChangeStarted, Event
from mosaic_deploy.model.snapshot import Object, ObjectState, live_size
from mosaic_deploy.source.files.local_file import read_unchanged, unchanged_chunks
from mosaic_deploy.source.files.references import moving_hint
from mosaic_deploy.source.snapshot import storage_prefix
from mosaic_deploy.sql.execution.records import SEED

_MAX_ROWS = 1000
"""Ledger rows written in one statement."""
_RECORD_EVERY = 200
"""Files per write to the ledger. A crash causes at most this many to be sent again."""
_MAX_BYTES_IN_MEMORY = 32 * 1024 * 1024
"""Bytes of static files in memory at the same time. Sending takes about four times the size of a file."""


def put_storage_files(run: Run) -> Iterator[Event]:
    """Uploads storage files, then checks that storage lists them with the right sizes."""
    puts = [change for change in run.changes if isinstance(change, PutStorageFile)]
    _mark_pending(run, ledger.STORAGE, puts)
    yield from _send_all(run, ledger.STORAGE, puts, _storage_sender(run))
    yield from _check_stored(run, puts)


def use_real_addresses(run: Run) -> Generator[Event, None, Run]:
    """Returns the run with files that have the real addresses of storage files, if the plan assumed them.

    Storage files that have other addresses in them then are sent again. That is a part of their changes, so only failures are
    reported.
    """
    site = run.planned.desired.site
    if site.addresses.known or not site.site.moved:
        return run
    listed = read_storage_listing(run.api, run.project.id)
    real = replace(run, planned=at_listed_addresses(run.planned, listed, run.project.url))
    sent = {put.path: put for put in run.changes if isinstance(put, PutStorageFile)}
    stale = [put for put in real.changes if isinstance(put, PutStorageFile) and put != sent[put.path]]
    if stale:
        rows = [
            Object(put.path, put.sha256, put.size, ObjectState.PENDING, size_before=sent[put.path].size)
            for put in stale
        ]
        _write_rows(real, ledger.STORAGE, rows, reopen=True)
        for event in _send_all(real, ledger.STORAGE, stale, _storage_sender(real)):
            if isinstance(event, ChangeFailed):
                yield event
        yield from _check_stored(real, stale)
    return real


def put_static_files(run: Run) -> Iterator[Event]:
    """Uploads files that pages refer to, then pages, then the front page; each group completes before the next."""
    puts = [change for change in run.changes if isinstance(change, PutStatic)]
    _mark_pending(run, ledger.STATIC, puts)
    for _, group in groupby(puts, key=lambda put: upload_order(put)[0]):
        yield from _send_all(run, ledger.STATIC, list(group), _static_sender(run))


def delete_objects(run: Run) -> Iterator[Event]:
    """Deletes pages before the files they refer to, so live pages stay whole; then storage files.

    Of files that stay live for a while, it only records that.
    """
    static = [change for change in run.changes if isinstance(change, DeleteStatic) and not change.keep]
    for _, group in groupby(static, key=lambda change: deletion_order(change.path)[0]):
        yield from _delete_all(run, ledger.STATIC, list(group), delete_static_file)
    stored = [change for change in run.changes if isinstance(change, DeleteStorageFile)]
    yield from _delete_all(
        run, ledger.STORAGE, [change for change in stored if not change.keep], delete_storage_file
    )
    kept = [change for change in run.changes if isinstance(change, DeleteStatic) and change.keep]
    yield from _retire(run, ledger.STATIC, kept)
    yield from _retire(run, ledger.STORAGE, [change for change in stored if change.keep])


def clean_up_ledger(run: Run) -> None:
    """Corrects the rows that no change is about: of files left live or gone, of renamed seeds, and without a proof."""
    for kind, cleanup in run.planned.ledger_cleanup().items():
        # First, so that a crash leaves no seed without a row, which would run again.
        _write_rows(run, kind, cleanup.mark)
        _write_proofs(run, kind, cleanup.prove)
        for statement, paths in (
            (ledger_rows.keep_objects_sql, cleanup.keep),
            (ledger_rows.delete_objects_sql, cleanup.forget),
        ):
            for first in range(0, len(paths), _MAX_ROWS):
                run.write(statement(kind, paths[first : first + _MAX_ROWS], run.claim.token))


def record_moved_seeds(run: Run) -> None:
    """Records the seeds of a manifest that was renamed or moved as its own, before the history is recorded as its."""
    _write_rows(run, SEED, run.planned.moved_seeds)


def _mark_pending(run: Run, kind: str, puts: Sequence[Put]) -> None:
    """Write-ahead: rows are `pending` before the first byte is sent, with the size of what is live until then."""
    live = (
        run.planned.live.snapshot.static if kind == ledger.STATIC else run.planned.live.snapshot.storage
    ) or {}
    objects = [
        Object(put.path, put.sha256, put.size, ObjectState.PENDING, size_before=live_size(live.get(put.path)))
        for put in puts
    ]
    _write_rows(run, kind, objects)


def _mark_live(run: Run, kind: str, puts: Sequence[Put]) -> None:
    _write_rows(run, kind, [Object(put.path, put.sha256, put.size) for put in puts])


def _write_rows(run: Run, kind: str, objects: Sequence[Object], *, reopen: bool = False) -> None:
    for first in range(0, len(objects), _MAX_ROWS):
        rows = objects[first : first + _MAX_ROWS]
        claim, manifest = run.claim, run.planned.desired.snapshot.manifest
        proofs = {} if kind == SEED else run.prover.proofs(kind, rows, manifest)
        run.write(
            ledger_rows.upsert_objects_sql(
                kind, rows, claim.token, claim.deploy_id, manifest, proofs=proofs, reopen=reopen
            )
        )


def _write_proofs(run: Run, kind: str, objects: Sequence[Object]) -> None:
    manifest = run.planned.desired.snapshot.manifest
    for first in range(0, len(objects), _MAX_ROWS):
        rows = objects[first : first + _MAX_ROWS]
        proofs = run.prover.proofs(kind, rows, manifest)
        run.write(ledger_rows.write_proofs_sql(kind, rows, proofs, manifest, run.claim.token))


def _send_all(
    run: Run, kind: str, puts: Sequence[Put], send: Callable[[Put, ReportEvent], None]
) -> Iterator[Event]:
    yield from _transfer_and_record(run, puts, send, lambda done: _mark_live(run, kind, done))


def _delete_all(
    run: Run,
    kind: str,
    deletes: Sequence[DeleteStatic | DeleteStorageFile],
    delete: Callable[..., None],
) -> Iterator[Event]:
    def send(change: DeleteStatic | DeleteStorageFile, _: ReportEvent) -> None:
        delete(run.api, run.project.id, change.path)

    def forget(done: Sequence[DeleteStatic | DeleteStorageFile]) -> None:
        run.write(ledger_rows.delete_objects_sql(kind, [change.path for change in done], run.claim.token))

    yield from _transfer_and_record(run, deletes, send, forget)


def _retire(run: Run, kind: str, changes: Sequence[DeleteStatic | DeleteStorageFile]) -> Iterator[Event]:
    for first in range(0, len(changes), _MAX_ROWS):
        group = changes[first : first + _MAX_ROWS]
        yield from (ChangeStarted(change) for change in group)
        began = time.monotonic()
        paths = [change.path for change in group]
        run.write(ledger_rows.retire_objects_sql(kind, paths, run.claim.token))
        yield from (ChangeDone(change, time.monotonic() - began) for change in group)


def _transfer_and_record(
    run: Run,
    changes: Sequence[ChangeT],
    send: Callable[[ChangeT, ReportEvent], None],
    record: Callable[[Sequence[ChangeT]], None],
) -> Iterator[Event]:
    """Runs changes concurrently and records those done, also if one fails."""
    done: list[ChangeT] = []

    def seen(event: Event) -> None:
        if isinstance(event, ChangeDone):
            done.append(event.change)  # type: ignore[arg-type]  # events of `transfer` have a ChangeT
            if len(done) == _RECORD_EVERY:
                record(done)
                done.clear()

    try:
        yield from relay(transfer(changes, send, run.parallelism, run.api.rate_limiter.cancel), seen)
    finally:
        if done:
            record(done)


def _static_sender(run: Run) -> Callable[[Put, ReportEvent], None]:
    desired = run.planned.desired
    budget = MemoryBudget(_MAX_BYTES_IN_MEMORY)

    def send(put: Put, _: ReportEvent) -> None:
        generated = desired.generated.get(put.path)
        with budget.reserve(put.size):
            content = read_unchanged(desired.static[put.path]) if generated is None else generated
            try:
                upload_static_file(run.api, run.project.id, put.path, content)
            except RequestRefused as error:
                if error.too_large:
                    error.hint = moving_hint(desired.static, put.path, storage_prefix(desired.manifest))
                raise

    return send


def _storage_sender(run: Run) -> Callable[[Put, ReportEvent], None]:
    storage_files = run.planned.desired.storage_files

    def send(put: Put, report: ReportEvent) -> None:
        file = storage_files[put.path]
        upload_storage_file(
            run.api,
            run.project.id,
            file.object,
            lambda: unchanged_chunks(file, CHUNK_SIZE),
            SendProgress(put, report, run.api.rate_limiter, run.heartbeat.check),
        )

    return send


def _check_stored(run: Run, puts: Sequence[Put]) -> Iterator[Event]:
    """Yields ChangeFailed for files that storage doesn't list, or lists with another size than was sent.

    Their rows become `pending` again, so the next run sends them again. At the end raises TransfersFailed.
    """
    wrong = stored_wrongly(run.api, run.project.id, puts)
    if not wrong:
        return
    reopened = [
        Object(put.path, put.sha256, put.size, ObjectState.PENDING, size_before=size) for put, size in wrong
    ]
    _write_rows(run, ledger.STORAGE, reopened, reopen=True)
    error = stored_wrongly_error(wrong)
    yield from (ChangeFailed(put, error) for put, _ in wrong)
    raise error
