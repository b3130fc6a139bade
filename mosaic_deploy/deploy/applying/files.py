"""Static files and assets: intent first, then the bytes, then the ledger, so that no crash leaves a lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.deploy.applying.transfers import M, transfer
from mosaic_deploy.diff.plan import deletion_order, upload_order
from mosaic_deploy.errors import Interrupted, Location, Problem, TransfersFailed
from mosaic_deploy.live.api.rate_limit import Pace, Room
from mosaic_deploy.live.api.upload import CHUNK, delete_asset, delete_static, put_asset, put_static
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.ledger import rows as ledger_rows
from mosaic_deploy.live.snapshot import read_stored_sizes
from mosaic_deploy.model.change import DeleteAsset, DeleteStatic, Put, PutAsset, PutStatic
from mosaic_deploy.model.event import BytesSent, ChangeDone, Event
from mosaic_deploy.model.snapshot import Object, State
from mosaic_deploy.source.files.local_file import read_unchanged, unchanged_chunks

_ROWS = 1000
"""Ledger rows written in one statement."""
_FLUSH = 200
"""Files after which the ledger hears of them, so that a crash costs no more than these."""
_BETWEEN_REPORTS = 0.25
"""Seconds between two words about the bytes of one file."""
_HELD = 32 * 1024 * 1024
"""Bytes of static files that are in memory at the same time; on its way a file is there some four times over."""
_LOOKS = 20
"""How often storage is listed, twice a second, until it shows what was stored."""

Report = Callable[[Event], None]


def put_assets(run: Run) -> Iterator[Event]:
    """Sends what is wanted in storage, and looks at the end whether storage lists it at its size."""
    puts = [change for change in run.changes if isinstance(change, PutAsset)]
    _intend(run, ledger.ASSET, puts)
    yield from _send_all(run, ledger.ASSET, puts, _asset_sender(run))
    _check_stored(run, puts)


def put_static_files(run: Run) -> Iterator[Event]:
    """What pages refer to, then pages, then the front page: each group is live before the next begins."""
    puts = [change for change in run.changes if isinstance(change, PutStatic)]
    _intend(run, ledger.STATIC, puts)
    for _, group in groupby(puts, key=lambda put: upload_order(put)[0]):
        yield from _send_all(run, ledger.STATIC, list(group), _static_sender(run))


def delete_objects(run: Run) -> Iterator[Event]:
    """Pages first, so that none that is still live has lost its parts; then their parts, then assets."""
    static = [change for change in run.changes if isinstance(change, DeleteStatic)]
    for _, group in groupby(static, key=lambda change: deletion_order(change.path)[0]):
        yield from _delete_all(run, ledger.STATIC, list(group), delete_static)
    assets = [change for change in run.changes if isinstance(change, DeleteAsset)]
    yield from _delete_all(run, ledger.ASSET, assets, delete_asset)


def tidy(run: Run) -> None:
    """Puts the ledger's rows right that no change is about: what is gone is forgotten, what is left is marked."""
    for kind, found in run.planned.tidying().items():
        for first in range(0, len(found.forget), _ROWS):
            run.write(ledger_rows.forget(kind, found.forget[first : first + _ROWS], run.claim.token))
        _write_rows(run, kind, found.mark)


def _intend(run: Run, kind: str, puts: Sequence[Put]) -> None:
    """Write-ahead: the ledger says `pending` before the first byte leaves."""
    _mark(run, kind, puts, State.PENDING)


def _mark(run: Run, kind: str, puts: Sequence[Put], state: State) -> None:
    _write_rows(run, kind, [Object(put.path, put.sha256, put.size, state) for put in puts])


def _write_rows(run: Run, kind: str, objects: Sequence[Object]) -> None:
    for first in range(0, len(objects), _ROWS):
        rows = objects[first : first + _ROWS]
        run.write(ledger_rows.mark(kind, rows, run.claim.token, run.claim.deploy_id))


def _send_all(
    run: Run, kind: str, puts: Sequence[Put], send: Callable[[Put, Report], None]
) -> Iterator[Event]:
    yield from _recorded(run, puts, send, lambda done: _mark(run, kind, done, State.LIVE))


def _delete_all(
    run: Run,
    kind: str,
    deletes: Sequence[DeleteStatic | DeleteAsset],
    delete: Callable[..., None],
) -> Iterator[Event]:
    def send(change: DeleteStatic | DeleteAsset, _: Report) -> None:
        run.heartbeat.check()
        delete(run.api, run.project.id, change.path)

    def forget(done: Sequence[DeleteStatic | DeleteAsset]) -> None:
        run.write(ledger_rows.forget(kind, [change.path for change in done], run.claim.token))

    yield from _recorded(run, deletes, send, forget)


def _recorded(
    run: Run,
    changes: Sequence[M],
    send: Callable[[M, Report], None],
    record: Callable[[Sequence[M]], None],
) -> Iterator[Event]:
    """Makes changes in parallel and records what was made, also where one fails: others' work isn't thrown away."""
    done: list[M] = []
    try:
        for event in transfer(changes, send, run.parallelism, run.api.pace.give_up):
            if isinstance(event, ChangeDone):
                done.append(event.change)  # type: ignore[arg-type]  # transfer's events are of what it was given
                if len(done) == _FLUSH:
                    record(done)
                    done = []
            yield event
    finally:
        if done:
            record(done)


def _static_sender(run: Run) -> Callable[[Put, Report], None]:
    desired = run.planned.desired
    room = Room(_HELD)

    def send(put: Put, _: Report) -> None:
        run.heartbeat.check()
        made = desired.generated.get(put.path)
        with room.held(put.size):
            content = read_unchanged(desired.static[put.path]) if made is None else made
            put_static(run.api, run.project.id, put.path, content)

    return send


def _asset_sender(run: Run) -> Callable[[Put, Report], None]:
    assets = run.planned.desired.assets

    def send(put: Put, report: Report) -> None:
        run.heartbeat.check()
        file = assets[put.path]
        put_asset(
            run.api,
            run.project.id,
            file.object,
            lambda: unchanged_chunks(file, CHUNK),
            _Sent(put, report, run.api.pace),
        )

    return send


class _Sent:
    """Reports the bytes of one file now and then, and always the last of them. Raises Interrupted once given up."""

    def __init__(self, put: Put, report: Report, pace: Pace) -> None:
        self._put = put
        self._pace = pace
        self._report = report
        self._said = time.monotonic()

    def __call__(self, total: int) -> None:
        if self._pace.given_up:
            raise Interrupted(f"{self._put.path} was not sent to its end")
        now = time.monotonic()
        if total >= self._put.size or now - self._said >= _BETWEEN_REPORTS:
            self._said = now
            self._report(BytesSent(self._put.address, total))


def _check_stored(run: Run, puts: Sequence[Put]) -> None:
    """Raises TransfersFailed for files that storage lists at another size than was sent, or not at all.

    Their rows go back to `pending`, so the next run sends them again.
    """
    if not puts:
        return
    for _ in range(_LOOKS):
        wrong = _wrong(run, puts)
        if not wrong:
            return
        run.api.pause(0.5)
    _mark(run, ledger.ASSET, [put for put, _ in wrong], State.PENDING)
    raise TransfersFailed(
        f"{len(wrong)} stored {'file is' if len(wrong) == 1 else 'files are'} not what was sent",
        problems=[Problem(why, Location(put.path)) for put, why in wrong],
        hint="run the same command again: it sends them once more",
        mutation_state="partial",
    )


def _wrong(run: Run, puts: Sequence[Put]) -> list[tuple[Put, str]]:
    sizes = read_stored_sizes(run.api, run.project.id)
    if sizes is None:
        return []
    found = []
    for put in puts:
        if put.path not in sizes:
            found.append((put, "storage doesn't list it"))
        elif sizes[put.path] not in (None, put.size):
            found.append((put, f"storage lists {sizes[put.path]} bytes, and {put.size} were sent"))
    return found
