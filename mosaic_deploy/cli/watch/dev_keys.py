"""The addresses that `dev` shows, and the keys that open them."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from mosaic_deploy.cli.render.text.addresses import KEYS_HELP, address_lines
from mosaic_deploy.cli.target.embedded import dashboard_link, read_inbox
from mosaic_deploy.cli.terminal.browser import open_in_browser
from mosaic_deploy.cli.terminal.keys import Keys
from mosaic_deploy.errors import MosaicError

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.session import Session

_MAX_EMAILS = 5


class Asked(Enum):
    """What a key asks the watch to do."""

    RUN = auto()
    QUIT = auto()


class DevKeys:
    """Shows the addresses of one project once, and does what its keys say. `close` restores the terminal."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._keys = Keys() if screen.format == "text" else None
        self._site = ""

    def start(self, session: Session, project_id: str) -> None:
        """Shows the addresses, and takes keys from now on; for people only."""
        if self._keys is None:
            return
        self._site = site_url(session, project_id)
        addresses = {
            "site": f"{self._site}/",
            "dashboard": f"{session.api.url}/",
            "database": _database_address(session, project_id),
            "inbox": f"{session.api.url}/inbox",
        }
        shown = {name: address for name, address in addresses.items() if address}
        self._screen.result({}, address_lines(shown, keys=self._keys.available))
        self._keys.start()

    def close(self) -> None:
        if self._keys is not None:
            self._keys.close()

    def handle(self) -> Asked | None:
        """Does what the keys pressed since the last call say; what the watch has to do, if anything."""
        asked: Asked | None = None
        for key in self._keys.read().lower() if self._keys else "":
            asked = self._press(key) or asked
            if asked is Asked.QUIT:
                break
        return asked

    def _press(self, key: str) -> Asked | None:
        if key == "q":
            return Asked.QUIT
        if key == "r":
            return Asked.RUN
        if key == "o":
            self._open(f"{self._site}/")
        elif key == "d":
            link = dashboard_link()
            if link:
                self._open(link)
            else:
                self._screen.print_notice(["The platform gave no link to the dashboard."])
        elif key == "i":
            self._show_inbox()
        elif key in ("h", "?"):
            self._screen.print_notice(KEYS_HELP)
        return None

    def _open(self, url: str) -> None:
        if not open_in_browser(url):
            self._screen.print_notice([f"Open in a browser: {url}"])

    def _show_inbox(self) -> None:
        try:
            emails = read_inbox()
        except MosaicError as error:
            self._screen.error(error)
            return
        self._screen.inbox(emails[:_MAX_EMAILS])


def site_url(session: Session, project_id: str) -> str:
    """The project's address on the embedded platform, without a trailing slash."""
    scheme, _, place = session.api.url.partition("://")
    return f"{scheme}://{project_id}.localhost:{place.rpartition(':')[2]}"


def _database_address(session: Session, project_id: str) -> str:
    """The connection URL without its password; empty if it can't be read."""
    from mosaic_deploy.live.api.operations import read_credentials

    try:
        found = read_credentials(session.api.for_database(""), project_id)
    except MosaicError:
        return ""
    user, host, port, database = (str(found.get(name) or "") for name in ("user", "host", "port", "database"))
    return f"postgresql://{user}@{host}:{port}/{database}" if user and host and port and database else ""
