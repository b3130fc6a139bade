"""References of a site that are reported, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mosaic_deploy.errors import Location
from mosaic_deploy.source.site.analysis_cache import AnalysisCache
from mosaic_deploy.source.site.found import Role
from mosaic_deploy.source.site.site import Site

MAX_NOTES = 20
"""Notes of one kind."""
_MAX_NAMES = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """The address `url` in the file `name`, which means `path`."""

    name: str
    url: str
    path: str
    role: str = Role.LINK

    @property
    def reference(self) -> str:
        """As in an Analysis."""
        return self.role + self.url


def find_places(site: Site, links: Sequence[Reference], cache: AnalysisCache) -> dict[Reference, Location]:
    """Where the links are. Each file is parsed once."""
    by_file: dict[str, list[str]] = {}
    for link in links:
        by_file.setdefault(link.name, []).append(link.reference)
    found = {name: site.places(name, references, cache) for name, references in by_file.items()}
    return {link: found[link.name][link.reference] for link in links}


def names_text(names: list[str]) -> str:
    shown = [name if name.isprintable() else ascii(name) for name in names[:_MAX_NAMES]]
    more = [f"and {len(names) - _MAX_NAMES:,} more"] if len(names) > _MAX_NAMES else []
    return ", ".join([*shown, *more])
