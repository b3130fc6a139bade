"""`plan --out` and `apply FILE`: a plan to be read by people and applied later, as it was read."""

from __future__ import annotations

import os
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
)
from mosaic_deploy.model.event import ApplyFailed
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES, find_manifest
from mosaic_deploy.version import __version__

if TYPE_CHECKING:
    from mosaic_deploy.deploy import PlanOptions, PreparedPlan
    from mosaic_deploy.model.event import Event

FORMAT = 1
"""The newest saved plans that this program knows."""
_NEW_PLAN_HINT = "read a new plan, and apply that"


@dataclass(frozen=True, slots=True)
class PlanFlags:
    """What the command line says of which plan to make."""

    environment: str | None
    local: bool
    project_id: str | None
    allow_out_of_order: bool
    only: tuple[str, ...]
    excluded: tuple[str, ...]
    verify: bool = False


def save_plan(path: str, session: Session, planned: PreparedPlan, plan_flags: PlanFlags) -> None:
    """Writes the plan with what is needed to make it again. Raises PlanFileInvalid."""
    from mosaic_deploy.cli.render.documents import plan_document
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
        "verify": plan_flags.verify,
        "origin": plan_inputs(planned),
    }
    whole = {"mosaic_deploy": __version__, "format": FORMAT, **plan_document(planned.plan), "saved": saved}
    write_plan_file(Path(path), whole)


def _refuse_deployed_folder(path: str, session: Session) -> None:
    """A plan in a deployed folder would be a change that it doesn't have itself."""
    manifest = session.manifest
    folders = [spec.dir for spec in (manifest.static, manifest.storage) if spec]
    for folder in folders:
        if Path(path).resolve().is_relative_to((manifest.root / folder).resolve()):
            raise PlanFileInvalid(
                f"{path} is in {folder}, which is deployed: the plan would be part of what it plans",
                hint="write it to a folder that isn't deployed",
            )


def _api_origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A saved plan that is to be applied: `file` as the command line names it."""

    file: str
    document: Mapping[str, Any]

    def open(self, timeout: float) -> Session:
        """The session that the plan was made in. Raises MosaicError's children, UsageError where settings differ."""
        saved = self.document["saved"]
        path = self._manifest_path()
        session = _open_session(path, self.document["environment"], saved, timeout)
        api = None if saved["local"] else _api_origin(session.api.url)
        project = self.document["project"]["id"]
        if api != saved["api"]:
            session.api.close()
            raise click.UsageError(f"{self.file} was made for {saved['api']}, and MOSAIC_API_URL is {api}")
        # By id, wherever it came from: a name may mean another project by now.
        return replace(session, target=replace(session.target, id=project)) if project else session

    def plan_options(self) -> PlanOptions:
        from mosaic_deploy.deploy import PlanOptions
        from mosaic_deploy.diff.selection import Selection, parse_selector

        selection = self.document["selection"] or {"only": [], "except": []}
        only, excluded = ([parse_selector(text) for text in selection[name]] for name in ("only", "except"))
        return PlanOptions(
            self.document["saved"]["allow_out_of_order"], Selection(tuple(only), tuple(excluded))
        )

    def refuse_changed(self, planned: PreparedPlan) -> bool:
        """Returns whether there is anything left to apply. Raises SavedPlanStale where the plan isn't the one reviewed."""
        from mosaic_deploy.deploy.planning.saved_plan import already_applied, changes_since_saved

        if already_applied(self.document, planned):
            return False
        if found := changes_since_saved(self.document, planned):
            raise SavedPlanStale(
                f"{self.file} isn't applied: what it was made from has moved since\n"
                + "\n".join(f"  - {each}" for each in found),
                hint=_NEW_PLAN_HINT,
                next_actions=[NextAction("make a new plan", self.again)],
            )
        return True

    @property
    def verifies(self) -> bool:
        """Whether the live bytes themselves were compared."""
        return bool(self.document["saved"].get("verify"))

    @property
    def again(self) -> str:
        """The command that makes such a plan anew; the session adds which project is meant."""
        selection = self.document["selection"] or {"only": [], "except": []}
        words = ["--out", self.file]
        for name in ("only", "except"):
            words += [word for text in selection[name] for word in (f"--{name}", text)]
        if self.document["saved"]["allow_out_of_order"]:
            words.append("--allow-out-of-order")
        if self.verifies:
            words.append("--verify")
        return f"mosaic-deploy plan {shlex.join(words)}"

    def refuse_conflicting_flags(self, plan_flags: PlanFlags) -> None:
        """Raises UsageError for options that say something else than the plan: it can't be made another by them."""
        saved = self.document["saved"]
        selection = self.document["selection"] or {"only": [], "except": []}
        project = self.document["project"]["id"]
        differing = {
            "--env": plan_flags.environment not in (None, self.document["environment"]),
            "--local": plan_flags.local and not saved["local"],
            "--project": plan_flags.project_id not in (None, project),
            "--allow-out-of-order": plan_flags.allow_out_of_order and not saved["allow_out_of_order"],
            "--verify": plan_flags.verify and not self.verifies,
            "--only": plan_flags.only and list(plan_flags.only) != selection["only"],
            "--except": plan_flags.excluded and list(plan_flags.excluded) != selection["except"],
        }
        if names := [name for name, differs in differing.items() if differs]:
            raise click.UsageError(
                f"{self.file} is a saved plan and says otherwise than {', '.join(names)}. "
                "It is applied as it was made; `mosaic-deploy plan --out FILE` makes another one"
            )
        self._refuse_conflicting_settings(project)

    def _refuse_conflicting_settings(self, project: str) -> None:
        """Settings count less than the plan, but whoever set them to something else may mean something else."""
        path = self._manifest_path()
        environment = resolve_environment(path, None)
        planned = self.document["environment"]
        if environment and environment != planned:
            made = f"for {planned}" if planned else "without an environment"
            raise click.UsageError(f"{self.file} was made {made}, and MOSAIC_ENV is {environment}")
        named = read_settings(find_manifest(Path(path)).parent).get("MOSAIC_PROJECT_ID")
        if named and named != project and not self.document["saved"]["local"]:
            raise click.UsageError(
                f"{self.file} is for the project {project or 'to be created'}, and MOSAIC_PROJECT_ID is {named}"
            )

    def _manifest_path(self) -> str:
        """The manifest's place, from the current folder, as a PATH. Raises ManifestMissing."""
        file = Path(self.document["saved"]["manifest"])
        if not file.is_file():
            raise ManifestMissing(
                f"{self.file} is a plan of {file}, which isn't here",
                hint="apply a saved plan from the folder that it was made in, or from the same one of another "
                "checkout: paths in it begin there",
            )
        return str(file.parent) if file.name == MANIFEST_NAMES[0] else str(file)


def _open_session(path: str, environment: str | None, saved: Mapping[str, Any], timeout: float) -> Session:
    try:
        return open_session(
            path, environment=environment, local=saved["local"], project_id=saved["project"], timeout=timeout
        )
    except KeyMissing as error:
        # A plan for the account can't be tried on this machine.
        error.next_actions = error.next_actions[:1]
        raise


def without_stale_retry(events: Iterator[Event]) -> Iterator[Event]:
    """The events of applying a saved plan: where it is stale, the same command won't make it another."""
    for event in events:
        if isinstance(event, ApplyFailed) and isinstance(event.error, PlanStale):
            event.error.hint, event.error.retryable = _NEW_PLAN_HINT, False
        yield event


def find_saved_plan(path: str, plan_flags: PlanFlags) -> SavedPlan | None:
    """The saved plan at `path`, None for a manifest. Raises PlanFileInvalid, UsageError, ManifestMissing."""
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
