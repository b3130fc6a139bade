"""Lints parsed migration files."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_deploy.model.hazard import Hazard, worst_first
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.source.migrations.files import ParsedFile
from mosaic_deploy.sql.hazards import Script, review


def script(parsed: ParsedFile, done: int = 0) -> Script:
    """The input of a hazard review. The first `done` steps of the file are already committed."""
    file = parsed.file
    return Script(file.relative_path, file.text, parsed.steps, done, parsed.declared)


def lint(
    parsed: Sequence[ParsedFile], only: Sequence[str] = (), policy: PolicySpec | None = None
) -> tuple[Hazard, ...]:
    """The hazards of each file, as if it were pending and all earlier ones applied; the worst first.

    If `only` has file names, other files are read for their table definitions but not reported. `policy` names the
    protected tables.
    """
    found = review([script(each) for each in parsed], all_pending=False, policy=policy).hazards
    reported = {each.file.relative_path for each in parsed if not only or each.file.migration.file in only}
    return tuple(worst_first(tuple(hazard for hazard in found if hazard.location.file in reported)))
