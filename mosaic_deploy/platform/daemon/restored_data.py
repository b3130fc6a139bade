"""What a restore takes over of PostgreSQL's data folder: the data, and none of its settings.

PostgreSQL runs programs and loads libraries that its settings name, and a backup may come from somebody else. So the
platform writes its own settings files, and only what the platform's own server keeps in its data folder is extracted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mosaic_deploy.platform.postgres.server_process import HBA_RULES

_FOLDERS = frozenset(
    {
        "base",
        "global",
        "pg_commit_ts",
        "pg_logical",
        "pg_multixact",
        "pg_stat",
        "pg_twophase",
        "pg_wal",
        "pg_xact",
    }
)
# PostgreSQL needs these folders, but nothing in them: a server that was stopped has no replication slots and no
# tablespaces here, and makes the rest itself.
_EMPTY_FOLDERS = frozenset(
    {
        "pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans",
        "pg_tblspc",
    }
)  # fmt: skip
_FILES = frozenset({"PG_VERSION"})

# As `initdb` writes it for the platform. Everything else is on the server's command line.
_SETTINGS = """\
# Written by `local restore`; the settings of the backup aren't taken over.
datestyle = 'iso, mdy'
lc_monetary = 'C'
lc_numeric = 'C'
lc_time = 'C'
default_text_search_config = 'pg_catalog.english'
"""
_CONFIGURATION: Final = {
    "postgresql.conf": _SETTINGS,
    "postgresql.auto.conf": "",
    "pg_hba.conf": HBA_RULES,
    "pg_ident.conf": "",
}


def is_data(parts: tuple[str, ...]) -> bool:
    """Whether this path inside the data folder holds data, as opposed to settings and signals to the server."""
    if len(parts) < 2:
        return not parts or parts[0] in _FOLDERS | _EMPTY_FOLDERS | _FILES
    return parts[0] in _FOLDERS


def write_configuration(data: Path) -> None:
    """The folders that must exist, and the settings. `data` is an extracted data folder, not yet in use."""
    for name in _EMPTY_FOLDERS:
        (data / name).mkdir(mode=0o700, exist_ok=True)
    for name, content in _CONFIGURATION.items():
        path = data / name
        path.touch(mode=0o600)
        path.write_text(content, encoding="utf-8")
