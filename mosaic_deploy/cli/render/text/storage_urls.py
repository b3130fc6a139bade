"""The public URLs of storage files for people: each of a few, of many what precedes their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mosaic_deploy.model.change import PutStorageFile
from mosaic_deploy.model.plan import Plan

_MAX_SHOWN = 3


def plan_url_lines(plan: Plan) -> Iterator[str]:
    """Where the storage files that the plan uploads are or will be."""
    names = [change.path for change in plan.changes if isinstance(change, PutStorageFile)]
    if not plan.storage_urls:
        if names:
            yield "URLs are known after the upload: mosaic-deploy storage ls"
        return
    for url in _compact(plan.storage_urls):
        yield f"at {url}" if "://" in url else f"at {url} of the site"


def validated_url_lines(paths: Mapping[str, str]) -> Iterator[str]:
    """Where storage files will be, as far as that is known without a connection."""
    if paths:
        shown = ", ".join(_compact(paths))
        yield f"Storage files on the embedded platform, below the site's URL: {shown}; `mosaic-deploy plan` shows whole URLs."


def _compact(urls: Mapping[str, str]) -> Iterator[str]:
    """The URLs; of more than a few only their common beginning, if they have one, or the first."""
    if len(urls) <= _MAX_SHOWN:
        yield from urls.values()
        return
    bases = {url.rsplit("/", name.count("/") + 1)[0] for name, url in urls.items()}
    yield f"{bases.pop()}/NAME" if len(bases) == 1 else f"{next(iter(urls.values()))}, …"
