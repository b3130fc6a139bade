"""`mosaic-deploy storage`: lists, uploads, downloads and deletes storage files that no manifest needs to name.

One module per subcommand; `changing` has what the commands share that change what is live. May import what other commands may.
Begin with `put`.
"""

from __future__ import annotations

import click

from mosaic_deploy.cli.lazy_groups import CommandEntry, lazy_group

_ROOM = "mosaic_deploy.cli.commands.storage"

COMMANDS = {
    "ls": CommandEntry(f"{_ROOM}.ls:ls", "List storage files with size and URL"),
    "url": CommandEntry(f"{_ROOM}.ls:url", "Print the public URLs of storage files"),
    "put": CommandEntry(f"{_ROOM}.put:put", "Upload files to storage"),
    "get": CommandEntry(f"{_ROOM}.get:get", "Download storage files"),
    "rm": CommandEntry(f"{_ROOM}.rm:rm", "Delete storage files"),
}
"""In the order of `--help`."""

SYNONYMS = {
    **dict.fromkeys(("list", "dir"), "storage ls"),
    **dict.fromkeys(("upload", "cp", "copy", "sync"), "storage put"),
    "download": "storage get",
    **dict.fromkeys(("delete", "del", "remove"), "storage rm"),
    "link": "storage url",
}


@click.group(cls=lazy_group(COMMANDS, synonyms=SYNONYMS))
def storage() -> None:
    """List, upload, download and delete storage files."""
