"""`plan --out` and `apply FILE`: a plan that is reviewed now and applied later, unchanged."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from mosaic_deploy.cli.next_commands import Scope
from mosaic_deploy.cli.target.session import Session, open_session
from mosaic_deploy.cli.target.settings import read_settings, resolve_environment
from mosaic_deploy.errors import (
    KeyMissing,
    ManifestMissing,
    NextAction,
    PlanFileInvalid,
    PlanStale,
    SavedPlanStale,
    UsageInvalid,
)
from mosaic_deploy.model.event import ApplyFailed
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES, find_manifest
from mosaic_deploy.version import __version__

if TYPE_CHECKING:
    from mosaic_deploy.deploy import PlanOptions, PreparedPlan
    from mosaic_deploy.model.event import Event

FORMAT = 1
"""The newest format of saved plans that this version reads."""
_RUN_AGAIN = re.compile(r"\brun the same command again\b")
_NEW_PLAN_HINT = "make a new plan, review it and apply that one"


@dataclass(frozen=True, slots=True)
class PlanFlags:
    """The options that determine the plan."""

    environment: str | None
    local: bool
    project_id: str | None
    allow_out_of_order: bool
    only: tuple[str, ...]
    excluded: tuple[str, ...]
    compare_bytes: bool = False


def save_plan(path: str, session: Session, planned: PreparedPlan, plan_flags: PlanFlags) -> None:
    """Writes the plan with everything needed to compute it again. Raises UsageInvalid, FileExists, WriteFailed."""
    from mosaic_deploy.cli.render.json_documents import plan_document
    from mosaic_deploy.deploy.planning.saved_plan import plan_inputs
    from mosaic_deploy.source.plan_file import write_plan_file

    _refuse_deployed_folder(path, session)
    manifest = session.manifest.file
    saved = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "manifest": PurePosixPath(os.path.relpath(manifest)).as_posix(),
        "local": plan_flags.local,
        "api": None if plan_flags.local else _api_origin(session.api.url),
        "project": plan_flags.project_id,
        "allow_out_of_order": plan_flags.allow_out_of_order,
        "compare_bytes": plan_flags.compare_bytes,
        "origin": plan_inputs(planned),
    }
    document = {"mosaic_deploy": __version__, "format": FORMAT, **plan_document(planned.plan), "saved": saved}
    write_plan_file(Path(path), document)


def _refuse_deployed_folder(path: str, session: Session) -> None:
    """Raises UsageInvalid for a path in a deployed folder: the file would change what the plan contains."""
    manifest = session.manifest
    folders = [spec.dir for spec in (manifest.static, manifest.storage) if spec]
    for folder in folders:
        if Path(path).resolve().is_relative_to((manifest.root / folder).resolve()):
            raise UsageInvalid(
                f"can't save the plan to {path}: {folder} is deployed, so the file would change the plan",
                hint="choose a folder that isn't deployed",
            )


def _api_origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A saved plan to apply. `file` is the path from the command line."""

    file: str
    document: Mapping[str, Any]

    def open(self, timeout: float) -> Session:
        """A session for the plan's project. Raises subclasses of MosaicError, and UsageError if settings differ."""
        saved = self.document["saved"]
        path = self._manifest_path()
        session = _open_session(path, self.document["environment"], saved, timeout)
        api = None if saved["local"] else _api_origin(session.api.url)
        project = self.document["project"]["id"]
        if api != saved["api"]:
            session.api.close()
            raise click.UsageError(f"{self.file} was made for {saved['api']}, but MOSAIC_API_URL is {api}")
        # By ID: by now, the name may belong to another project.
        return replace(session, target=replace(session.target, id=project)) if project else session

    def plan_options(self) -> PlanOptions:
        from mosaic_deploy.deploy import PlanOptions
        from mosaic_deploy.diff.selection import Selection, parse_selector

        selection = self.document["selection"] or {"only": [], "except": []}
        only, excluded = ([parse_selector(text) for text in selection[name]] for name in ("only", "except"))
        due = {each["path"] for each in self.document["changes"] if each.get("approved")}
        return PlanOptions(
            self.document["saved"]["allow_out_of_order"],
            Selection(tuple(only), tuple(excluded)),
            due=frozenset(due),
        )

    def refuse_changed(self, planned: PreparedPlan) -> bool:
        """Whether anything is left to apply. Raises SavedPlanStale if the new plan differs from the reviewed one."""
        from mosaic_deploy.deploy.planning.saved_plan import already_applied, changes_since_saved

        if already_applied(self.document, planned):
            return False
        if changes := changes_since_saved(self.document, planned):
            raise SavedPlanStale(
                f"can't apply {self.file}: something changed since it was made\n"
                + "\n".join(f"  - {change}" for change in changes),
                hint=_NEW_PLAN_HINT,
                next_actions=[NextAction("make a new plan", self.plan_command)],
            )
        return True

    def with_rehearsal(self, planned: PreparedPlan) -> PreparedPlan:
        """The plan with the rehearsal that was saved: each step is compared with it. Nothing is left to compare in an empty plan."""
        if planned.plan.empty:
            return planned
        from mosaic_deploy.cli.render.schema_documents import parse_rehearsal
        from mosaic_deploy.deploy.rehearsal import with_rehearsal

        return with_rehearsal(planned, parse_rehearsal(self.document["rehearsal"], planned.plan.hazards))

    @property
    def compare_bytes(self) -> bool:
        """Whether the plan compared the bytes of live files (`plan --compare-bytes`)."""
        return bool(self.document["saved"].get("compare_bytes"))

    @property
    def plan_command(self) -> str:
        """The command that makes this plan again; the session adds the options that select the project."""
        selection = self.document["selection"] or {"only": [], "except": []}
        words = ["--out", self.file]
        for name in ("only", "except"):
            words += [word for text in selection[name] for word in (f"--{name}", text)]
        if self.document["saved"]["allow_out_of_order"]:
            words.append("--allow-out-of-order")
        if self.compare_bytes:
            words.append("--compare-bytes")
        return f"mosaic-deploy plan {shlex.join(words)}"

    def refuse_conflicting_flags(self, plan_flags: PlanFlags) -> None:
        """Raises UsageError for options that don't match the plan."""
        saved = self.document["saved"]
        selection = self.document["selection"] or {"only": [], "except": []}
        project = self.document["project"]["id"]
        differing = {
            "--env": plan_flags.environment not in (None, self.document["environment"]),
            "--local": plan_flags.local and not saved["local"],
            "--project": plan_flags.project_id not in (None, project),
            "--allow-out-of-order": plan_flags.allow_out_of_order and not saved["allow_out_of_order"],
            "--compare-bytes": plan_flags.compare_bytes and not self.compare_bytes,
            "--only": plan_flags.only and list(plan_flags.only) != selection["only"],
            "--except": plan_flags.excluded and list(plan_flags.excluded) != selection["except"],
        }
        if names := [name for name, differs in differing.items() if differs]:
            raise click.UsageError(
                f"the saved plan {self.file} doesn't match {', '.join(names)}; it is applied as it was made. "
                "To change it, make a new one: `mosaic-deploy plan --out FILE`"
            )
        self._refuse_conflicting_settings(project)

    def _refuse_conflicting_settings(self, project: str) -> None:
        """Raises UsageError if the environment or `.env` selects another environment or project than the plan."""
        path = self._manifest_path()
        environment = resolve_environment(path, None)
        planned = self.document["environment"]
        if environment and environment != planned:
            made = f"for {planned}" if planned else "without an environment"
            raise click.UsageError(f"{self.file} was made {made}, but MOSAIC_ENV is {environment}")
        named = read_settings(find_manifest(Path(path)).parent).get("MOSAIC_PROJECT_ID")
        if named and named != project and not self.document["saved"]["local"]:
            raise click.UsageError(
                f"{self.file} is for project {project or '(new)'}, but MOSAIC_PROJECT_ID is {named}"
            )

    def _manifest_path(self) -> str:
        """The manifest as a PATH relative to the current folder. Raises ManifestMissing."""
        file = Path(self.document["saved"]["manifest"])
        if not file.is_file():
            raise ManifestMissing(
                f"{self.file} is a plan for {file}, which doesn't exist here",
                hint="apply a saved plan from the folder where it was made, or the same folder of another checkout",
            )
        return str(file.parent) if file.name == MANIFEST_NAMES[0] else str(file)


def _open_session(path: str, environment: str | None, saved: Mapping[str, Any], timeout: float) -> Session:
    try:
        return open_session(
            path, environment=environment, local=saved["local"], project_id=saved["project"], timeout=timeout
        )
    except KeyMissing as error:
        # Without `--local`: a plan for the account can't be applied to the embedded platform.
        error.next_actions = error.next_actions[:1]
        raise


def without_retry(events: Iterator[Event]) -> Iterator[Event]:
    """The events, with hints that don't suggest the same command: it can't succeed once something has changed.

    A stale plan is marked as not retryable.
    """
    for event in events:
        if isinstance(event, ApplyFailed):
            error = event.error
            error.hint = (
                _RUN_AGAIN.sub("make the plan again and apply that", error.hint) if error.hint else None
            )
            if isinstance(error, PlanStale):
                error.hint, error.retryable = _NEW_PLAN_HINT, False
        yield event


def find_saved_plan(path: str, plan_flags: PlanFlags) -> SavedPlan | None:
    """The saved plan at `path`, None for a manifest or folder. Raises PlanFileInvalid, UsageError, ManifestMissing."""
    from mosaic_deploy.source.plan_file import read_plan_file

    try:
        document = read_plan_file(Path(path), FORMAT)
    except PlanFileInvalid as error:
        flags = Scope(plan_flags.local, plan_flags.environment, plan_flags.project_id)
        error.next_actions = flags.add_scope_to_actions(error.next_actions)
        raise
    if document is None:
        return None
    saved_plan = SavedPlan(path, document)
    saved_plan.refuse_conflicting_flags(plan_flags)
    return saved_plan
