"""A deploy that loses its lease while it sends files sends nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from mosaic_deploy.errors import LockLost
from mosaic_deploy.live.api.upload import CHUNK_SIZE
from mosaic_deploy.live.ledger import heartbeat
from mosaic_deploy.live.ledger.lease_sql import LEASE_TTL
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from tests.deploy.faults import is_sql


class Sleeping(httpx.BaseTransport):
    """The machine sleeps for more than the lease's time when the first request that `falls_asleep` selects is sent.

    With `lose`, that request fails. Requests that change files and are sent after it are in `later`.
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, falls_asleep: Callable[[httpx.Request], bool], *, lose: bool = False
    ) -> None:
        self._inner = httpx.HTTPTransport()
        self._falls_asleep = falls_asleep
        self._lose = lose
        self._asleep = False
        self.later: list[str] = []
        self.stored: list[str] = []
        awake = heartbeat.awake_time
        patch.setattr(heartbeat, "awake_time", lambda: awake() + (LEASE_TTL + 1 if self._asleep else 0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self._asleep and self._falls_asleep(request):
            self._asleep = True
            if self._lose:
                raise httpx.ReadError("reset", request=request)
        elif self._asleep and request.method != "GET" and not is_sql(request):
            self.later.append(f"{request.method} {request.url.path}")
        response = self._inner.handle_request(request)
        if request.method == "PUT":
            self.stored.append(request.url.path)
        return response

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
def deployed(site):
    """A deployed site with a change of every kind that touches files."""
    for name in ("www/index.html", "www/old.html", "pics/one.bin", "pics/old.bin"):
        site.write(name, "first")
    site.manifest(static={"dir": "www", "prune": True, "keep": 0}, storage={"dir": "pics", "prune": True})
    site.apply()
    return site


def is_pending_row(request: httpx.Request) -> bool:
    return is_sql(request, '\\"pending\\"')


def is_upload(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.endswith(("/files", "/storage/upload"))


def is_delete(request: httpx.Request) -> bool:
    return request.method == "DELETE"


CASES: dict[str, tuple[list[str], list[str], Callable[[httpx.Request], bool], bool]] = {
    "before a static file": (["www/index.html", "www/a.css"], [], is_pending_row, False),
    "before a storage file": (["pics/one.bin", "pics/two.bin"], [], is_pending_row, False),
    "between two attempts for a static file": (["www/index.html"], [], is_upload, True),
    "between two attempts for a storage file": (["pics/one.bin"], [], is_upload, True),
    "between two attempts to delete": ([], ["www/old.html"], is_delete, True),
}


@pytest.mark.parametrize("case", CASES)
def test_no_file_is_sent_or_deleted_after_the_lease_is_lost(deployed, api_over, patch, case: str) -> None:
    written, deleted, falls_asleep, lose = CASES[case]
    for name in written:
        deployed.write(name, "second")
    for name in deleted:
        (deployed.root / name).unlink()
    transport = Sleeping(patch, falls_asleep, lose=lose)
    failed = deployed.run(api=api_over(transport), parallelism=1)[-1]
    patch.undo()
    assert isinstance(failed, ApplyFailed)
    assert isinstance(failed.error, LockLost)
    assert transport.later == []
    deployed.apply()


def test_a_storage_file_is_cut_off_when_the_lease_is_lost(deployed, api_over, patch) -> None:
    deployed.write("pics/one.bin", b"x" * (3 * CHUNK_SIZE))
    transport = Sleeping(patch, lambda request: request.method == "PUT")
    failed = deployed.run(api=api_over(transport))[-1]
    patch.undo()
    assert isinstance(failed, ApplyFailed)
    assert isinstance(failed.error, LockLost)
    assert transport.stored == []
    deployed.apply()


def test_a_deploy_whose_lease_has_another_token_records_nothing(deployed, api_over) -> None:
    """Another deploy has taken the lease over, and no renewal has noticed yet."""
    deployed.write("www/index.html", "second")

    class TakenOver(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if is_pending_row(request):
                deployed.sql("update mosaic_deploy.lease set token = 'other'")
            return super().handle_request(request)

    failed = deployed.run(api=api_over(TakenOver()))[-1]
    assert isinstance(failed, ApplyFailed)
    assert isinstance(failed.error, LockLost)
    assert deployed.get("/").text == "first"
    deployed.sql("delete from mosaic_deploy.lease")
    deployed.apply()


def test_after_a_deploy_its_api_sends_changes_without_a_lease(deployed, patch) -> None:
    """`watch` deploys again and again with one API."""
    deployed.write("www/index.html", "second")
    assert isinstance(deployed.run()[-1], ApplyDone)
    awake = heartbeat.awake_time
    patch.setattr(heartbeat, "awake_time", lambda: awake() + LEASE_TTL + 1)
    deployed.api.before_change()
