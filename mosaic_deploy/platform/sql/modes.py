"""How `/sql` treats a call: the hosted platform doesn't say, so each way can be had here, to test against."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from mosaic_deploy.platform.faults import ProcessFault

SQL_MODES_VARIABLE = "MOSAIC_LOCAL_SQL"
"""Names of the fields below, separated by commas, with `-` for `_`; read when the platform starts."""


@dataclass(frozen=True)
class SqlModes:
    """All off: several statements per call, none wrapped, connections reused after DISCARD ALL."""

    one_statement: bool = False
    """A call with more than one statement is refused, as by PostgreSQL's extended protocol."""
    wrapped: bool = False
    """Each call runs in a transaction of its own."""
    other_connection: bool = False
    """Each call gets a new connection."""

    @property
    def reuse(self) -> bool:
        """Whether a connection may serve another call."""
        return not self.other_connection


def sql_modes_from_environment(environ: Mapping[str, str] = os.environ) -> SqlModes:
    """What the environment asks for. Raises ProcessFault for a name that isn't a variant."""
    chosen = {
        name.strip().replace("-", "_")
        for name in environ.get(SQL_MODES_VARIABLE, "").split(",")
        if name.strip()
    }
    known = {field.name for field in fields(SqlModes)}
    if unknown := chosen - known:
        hint = "known are " + ", ".join(sorted(name.replace("_", "-") for name in known))
        raise ProcessFault(
            "sql_variant_unknown", f"{SQL_MODES_VARIABLE} names {', '.join(sorted(unknown))}", hint
        )
    return SqlModes(**dict.fromkeys(chosen, True))
