"""Whether storage lists what was uploaded."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_deploy.errors import Location, Problem, TransfersFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.snapshot import read_storage_sizes
from mosaic_deploy.model.change import Put
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.model.snapshot import NOTHING_LIVE

_MAX_LISTINGS = 20
"""How often storage is listed, twice a second, until it shows the uploaded files."""


def stored_wrongly(api: Api, project: str, puts: Sequence[Put]) -> list[tuple[Put, int]]:
    """The uploaded files that storage doesn't list, or lists with another size than was sent, even after a while.

    With their listed sizes, NOTHING_LIVE for those not listed.
    """
    wrong: list[tuple[Put, int]] = []
    for _ in range(_MAX_LISTINGS if puts else 0):
        wrong = _size_mismatches(api, project, puts)
        if not wrong:
            break
        api.pause(0.5)
    return wrong


def stored_wrongly_error(wrong: Sequence[tuple[Put, int]]) -> TransfersFailed:
    """The error for what `stored_wrongly` returns."""
    return TransfersFailed(
        f"{count_text(len(wrong), 'storage file')} incomplete or missing after the upload",
        problems=[Problem(_mismatch_text(put, size), Location(put.path)) for put, size in wrong],
        hint="run the same command again; it uploads them again",
        mutation_state="unknown",
    )


def _size_mismatches(api: Api, project: str, puts: Sequence[Put]) -> list[tuple[Put, int]]:
    sizes = read_storage_sizes(api, project)
    if sizes is None:
        return []
    found = ((put, sizes.get(put.path, NOTHING_LIVE)) for put in puts)
    return [(put, size) for put, size in found if size not in (None, put.size)]


def _mismatch_text(put: Put, size: int) -> str:
    if size == NOTHING_LIVE:
        return "storage doesn't list it"
    return f"storage lists {size} bytes, but {put.size} were sent"
