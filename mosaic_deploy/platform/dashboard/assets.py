"""The dashboard's style sheets and scripts, at URLs that name their content."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.services import Platform

_FOLDER = files("mosaic_deploy.platform.dashboard").joinpath("assets")
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


async def show_asset(_platform: Platform, request: Request) -> Response:
    """An asset, also for browsers without a session: they are the same for everybody. 404 for another version's."""
    name, digest = request.path_params["name"], request.path_params["digest"]
    if name not in _names() or digest != _digest(name):
        raise Fault(404, "not_found", "there is no such file")
    return Response(_content(name), 200, _HEADERS, f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8")


def asset_url(name: str) -> str:
    """`/dashboard/DIGEST/NAME`, which changes with its content."""
    return f"/dashboard/{_digest(name)}/{name}"


@cache
def _names() -> frozenset[str]:
    return frozenset(one.name for one in _FOLDER.iterdir() if one.name.rpartition(".")[2] in _TYPES)


@cache
def _content(name: str) -> bytes:
    return _FOLDER.joinpath(name).read_bytes()


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(_content(name)).hexdigest()[:16]
