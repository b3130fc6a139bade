"""Plans with their rehearsal: the live project and the rehearsal are on the same embedded platform."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy import PreparedPlan
from mosaic_deploy.deploy.rehearsal import rehearse
from mosaic_deploy.errors import RehearsalFailed
from mosaic_deploy.model.catalog import Rehearsal
from tests.deploy.conftest import Site

COMMAND = "mosaic-deploy plan"


class Rehearser:
    """A site whose plans are rehearsed."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def plan(self, planned: PreparedPlan | None = None) -> PreparedPlan:
        return rehearse(self.site.api, self.site.api, planned or self.site.plan(), COMMAND)

    def rehearsal(self) -> Rehearsal:
        found = self.plan().plan.rehearsal
        assert found is not None
        return found

    def changes(self) -> list[list[str]]:
        """The summaries of each migration's changes."""
        found = self.rehearsal()
        assert not found.not_rehearsed, (found.not_rehearsed, [each.summary for each in found.differences])
        return [[f"{one.action} {one.summary}" for one in each.changes] for each in found.done]

    def fails(self) -> RehearsalFailed:
        with pytest.raises(RehearsalFailed) as caught:
            self.plan()
        return caught.value


@pytest.fixture
def rehearser(site: Site) -> Rehearser:
    return Rehearser(site)
