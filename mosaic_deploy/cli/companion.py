"""What goes along with a watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mosaic_deploy.cli.session import Session
    from mosaic_deploy.deploy import Planned
    from mosaic_deploy.errors import MosaicError
    from mosaic_deploy.model.event import ApplyDone


class Companion:
    """Does nothing; `dev` shows it to browsers."""

    def started(self, session: Session, project_id: str) -> None:
        """The first apply has ended, or a project has come to be known."""

    def pulse(self) -> None:
        """A few times a second."""

    def live(self, planned: Planned, last: ApplyDone) -> None:
        """A plan was applied."""

    def broken(self, error: MosaicError) -> None:
        """What is on disk isn't live, and why."""

    def mended(self) -> None:
        """It is now."""

    def ended(self) -> None:
        """The watch is over."""
