"""Modes of `/sql`. The hosted platform doesn't document its own, so tests can run against each of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from mosaic_deploy.platform.faults import ProcessFault

SQL_MODES_VARIABLE = "MOSAIC_LOCAL_SQL"
"""Comma-separated names of the fields below, with `-` or `_`; read when the platform starts."""


@dataclass(frozen=True)
class SqlModes:
    """By default a call may have several statements, has no transaction around it, and may reuse a connection."""

    one_statement: bool = False
    """A call with more than one statement is an error, as in PostgreSQL's extended protocol."""
    wrapped: bool = False
    """Each call runs in a transaction."""
    other_connection: bool = False
    """Each call gets a new connection."""
    shared_session: bool = False
    """Calls share connections that aren't reset between them, as behind some poolers."""

    @property
    def reuse(self) -> bool:
        """Whether a connection may serve another call."""
        return not self.other_connection


def sql_modes_from_environment(environ: Mapping[str, str] = os.environ) -> SqlModes:
    """The modes set in the environment. Raises ProcessFault for an unknown name."""
    chosen = {
        name.strip().replace("-", "_")
        for name in environ.get(SQL_MODES_VARIABLE, "").split(",")
        if name.strip()
    }
    known = {field.name for field in fields(SqlModes)}
    if unknown := chosen - known:
        hint = "allowed: " + ", ".join(sorted(name.replace("_", "-") for name in known))
        names = ", ".join(sorted(unknown))
        raise ProcessFault("sql_variant_unknown", f"unknown SQL mode in {SQL_MODES_VARIABLE}: {names}", hint)
    return SqlModes(**dict.fromkeys(chosen, True))
