"""`mosaic-deploy migrate`: the migrations folder, and the migration history in the database.

One module per subcommand; `write_history` has what the commands that change the history share. Begin with `status`.
"""

from __future__ import annotations

import click

from mosaic_deploy.cli.lazy_groups import CommandEntry, lazy_group

_ROOM = "mosaic_deploy.cli.commands.database.migrate"

COMMANDS = {
    "new": CommandEntry(f"{_ROOM}.new:new", "Create the next migration file"),
    "commit": CommandEntry(f"{_ROOM}.new:commit_draft", "Turn draft.sql into the next migration file"),
    "lint": CommandEntry(f"{_ROOM}.lint:lint", "Lint migrations"),
    "status": CommandEntry(f"{_ROOM}.status:status", "Show the state of every migration"),
    "drift": CommandEntry(f"{_ROOM}.drift:drift", "Show how the live schema differs from the last deploy"),
    "rollback": CommandEntry(
        f"{_ROOM}.rollback:rollback", "Roll back migrations using their down migrations"
    ),
    "restore-file": CommandEntry(
        f"{_ROOM}.restore_file:restore_file", "Write an applied migration back into the folder"
    ),
    "repair": CommandEntry(f"{_ROOM}.repair:repair", "Fix the migration history"),
    "baseline": CommandEntry(
        f"{_ROOM}.baseline:baseline", "Record migrations as applied without running them"
    ),
    "import": CommandEntry(
        f"{_ROOM}.baseline:import_history", "Import the history of another migration tool"
    ),
    "seal": CommandEntry(
        f"{_ROOM}.new:commit_draft", "Turn draft.sql into the next migration file", hidden=True
    ),
}
"""In the order of `--help`."""

SYNONYMS = {
    **dict.fromkeys(("up", "apply", "deploy"), "apply"),
    **dict.fromkeys(("down", "undo"), "migrate rollback"),
    "create": "migrate new",
}


@click.group(cls=lazy_group(COMMANDS, synonyms=SYNONYMS))
def migrate() -> None:
    """Create, check and repair migrations. `mosaic-deploy apply` runs the pending ones."""
