"""Migration files as the review of their hazards reads them."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_deploy.model.hazard import Hazard, worst_first
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.source.migrations.files import ParsedFile
from mosaic_deploy.sql.hazards import Script, review


def script(parsed: ParsedFile, done: int = 0) -> Script:
    """A parsed file; `done` of its units are committed already."""
    return Script(parsed.file.relative_path, parsed.file.text, parsed.units, done)


def lint(
    parsed: Sequence[ParsedFile], only: Sequence[str] = (), policy: PolicySpec | None = None
) -> tuple[Hazard, ...]:
    """What each file would do if it alone were pending and the files before it were applied; the worst first.

    `only` are names of files: the others are read, for what they say of tables, and not reported. The `policy`
    says which tables are watched more closely.
    """
    found = review([script(one) for one in parsed], all_pending=False, policy=policy).hazards
    shown = {one.file.relative_path for one in parsed if not only or one.file.migration.file in only}
    return tuple(worst_first(tuple(hazard for hazard in found if hazard.location.file in shown)))
