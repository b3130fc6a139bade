"""Static files and assets: intent first, then the bytes, then the ledger, so that no crash leaves a lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from mosaic_deploy.deploy.run import Run
from mosaic_deploy.deploy.transfers import transfer
from mosaic_deploy.diff.plan import upload_order
from mosaic_deploy.live import ledger
from mosaic_deploy.live.write import delete_asset, delete_static, put_asset, put_static
from mosaic_deploy.model.change import Delete, DeleteStatic, Put, PutAsset, PutStatic
from mosaic_deploy.model.event import BytesSent, ChangeDone, ChangeStarted, Event
from mosaic_deploy.model.snapshot import Object, State
from mosaic_deploy.source.files import read_unchanged

_ROWS = 1000
"""Ledger rows written in one statement."""
_FLUSH = 200
"""Uploads after which the ledger hears of them, so that a crash costs no more than these."""


def put_assets(run: Run) -> Iterator[Event]:
    puts = [change for change in run.changes if isinstance(change, PutAsset)]
    _intend(run, ledger.ASSET, puts)
    yield from _send_all(run, ledger.ASSET, puts, _asset_sender(run))


def put_static_files(run: Run) -> Iterator[Event]:
    """What pages refer to, then pages, then the front page: each group is live before the next begins."""
    puts = [change for change in run.changes if isinstance(change, PutStatic)]
    _intend(run, ledger.STATIC, puts)
    for _, group in groupby(puts, key=lambda put: upload_order(put)[:2]):
        yield from _send_all(run, ledger.STATIC, list(group), _static_sender(run))


def delete_objects(run: Run) -> Iterator[Event]:
    for change in run.changes:
        if isinstance(change, Delete):
            began = time.monotonic()
            yield ChangeStarted(change)
            static = isinstance(change, DeleteStatic)
            run.heartbeat.check()
            (delete_static if static else delete_asset)(run.api, run.project.id, change.path)
            run.write(
                ledger.forget(ledger.STATIC if static else ledger.ASSET, [change.path], run.claim.token)
            )
            yield ChangeDone(change, time.monotonic() - began)


def _intend(run: Run, kind: str, puts: Sequence[Put]) -> None:
    """Write-ahead: the ledger says `pending` before the first byte leaves."""
    _mark(run, kind, puts, State.PENDING)


def _mark(run: Run, kind: str, puts: Sequence[Put], state: State) -> None:
    for first in range(0, len(puts), _ROWS):
        objects = [Object(put.path, put.sha256, put.size, state) for put in puts[first : first + _ROWS]]
        run.write(ledger.mark(kind, objects, run.claim.token, run.claim.deploy_id))


def _send_all(
    run: Run, kind: str, puts: Sequence[Put], send: Callable[[Put, Callable[[Event], None]], None]
) -> Iterator[Event]:
    """Sends in parallel and records what was sent, also where one fails: others' work isn't thrown away."""
    sent: list[Put] = []
    try:
        for event in transfer(puts, send, run.parallelism):
            if isinstance(event, ChangeDone) and isinstance(event.change, Put):
                sent.append(event.change)
                if len(sent) == _FLUSH:
                    _mark(run, kind, sent, State.LIVE)
                    sent = []
            yield event
    finally:
        _mark(run, kind, sent, State.LIVE)


def _static_sender(run: Run) -> Callable[[Put, Callable[[Event], None]], None]:
    desired = run.planned.desired

    def send(put: Put, report: Callable[[Event], None]) -> None:
        run.heartbeat.check()
        made = desired.generated.get(put.path)
        content = read_unchanged(desired.static[put.path]) if made is None else made
        put_static(run.api, run.project.id, put.path, content)
        report(BytesSent(put.address, len(content)))

    return send


def _asset_sender(run: Run) -> Callable[[Put, Callable[[Event], None]], None]:
    assets = run.planned.desired.assets

    def send(put: Put, report: Callable[[Event], None]) -> None:
        run.heartbeat.check()
        file = assets[put.path]
        put_asset(
            run.api, run.project.id, file.object, file.source, lambda n: report(BytesSent(put.address, n))
        )

    return send
