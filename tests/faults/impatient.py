"""`mosaic-deploy` whose every request gives up after LIMIT seconds. `--timeout` doesn't shorten requests with SQL."""

from __future__ import annotations

from typing import Any

import httpx

from mosaic_deploy.__main__ import main
from mosaic_deploy.live.api.transport import Transport

LIMIT = 1.5
_request = Transport.request


def _impatient_request(self: Transport, *arguments: Any, timeout: float, **more: Any) -> httpx.Response:
    return _request(self, *arguments, timeout=min(timeout, LIMIT), **more)


if __name__ == "__main__":
    Transport.request = _impatient_request  # type: ignore[method-assign]
    main()
