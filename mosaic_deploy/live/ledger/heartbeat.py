"""Renews the lease while a deploy runs, and stops the deploy if it was lost."""

from __future__ import annotations

import threading

from mosaic_deploy.errors import MosaicError
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.lease import RENEW_INTERVAL, awake_time, lease_lost_error
from mosaic_deploy.live.ledger.lease_sql import LEASE_TTL, LeaseRequest, renew_lease_sql

_RENEW_TIMEOUT = LEASE_TTL / 6
"""Seconds to wait for a renewal's response: several attempts must fit into the lease's time."""
_RETRY_INTERVAL = 1.0
"""Seconds between a renewal that failed and the next attempt."""


class Heartbeat:
    """Renews the lease from a thread, over connections of its own. `acquired_at` is the lease request's `awake_time`."""

    def __init__(self, api: Api, claim: LeaseRequest, acquired_at: float) -> None:
        self._api = api.with_timeout(_RENEW_TIMEOUT, own_connections=True)
        self._claim = claim
        self._stop = threading.Event()
        self._renewed = acquired_at
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._api.close()

    def check(self) -> None:
        """Raises LockLost if the lease was taken over, or wasn't renewed in time."""
        if self._lost or awake_time() - self._renewed > LEASE_TTL:
            raise lease_lost_error()

    def _run(self) -> None:
        pause = RENEW_INTERVAL
        while not self._stop.wait(pause):
            sent_at = awake_time()
            try:
                kept = self._api.sql(
                    self._claim.project, renew_lease_sql(self._claim.token), idempotent=False
                )
            except MosaicError:
                pause = _RETRY_INTERVAL  # `check` fails once the lease has expired
                continue
            if not kept or not int(kept[0].get("held", 0)):
                self._lost = True
                return
            self._renewed = sent_at
            pause = max(_RETRY_INTERVAL, RENEW_INTERVAL - (awake_time() - sent_at))
