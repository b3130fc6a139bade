"""What somebody types who takes `sql` for psql: told where that can be had."""

from __future__ import annotations

from mosaic_deploy.errors import Location, SqlRefused
from mosaic_deploy.sql.parse import line_and_column

_HINT = (
    "write a query, such as SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'NAME'; "
    "or use psql itself: `mosaic-deploy credentials --reveal` prints the address for it"
)


def refuse_psql(query: str, name: str) -> None:
    """Raises SqlRefused where `query`, called `name` in messages, begins with one of psql's own commands."""
    command = query.lstrip()
    if command.startswith("\\"):
        where = Location(name, *line_and_column(query, len(query) - len(command)))
        message = f"{where}: {command.split()[0]} is a command of psql's own, not SQL; nothing was sent"
        raise SqlRefused(message, location=where, hint=_HINT)
