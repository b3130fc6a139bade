"""The inputs and the result of planning: Target, PlanOptions and PreparedPlan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mosaic_deploy.deploy.planning.divergence import history_owner, moved_from
from mosaic_deploy.diff.check_record import CheckRecord, parse_check_record
from mosaic_deploy.diff.file_notes import NOT_BUILT_UPON, removed_section_notes, replaced_work_note
from mosaic_deploy.diff.history.owner import owner_record, parse_owner, removed_migrations_notes
from mosaic_deploy.diff.ledger_cleanup import NO_UNPROVEN, LedgerCleanup, ledger_cleanup
from mosaic_deploy.diff.policies import DEFAULT_POLICY, loosened, record_with, recorded_policy
from mosaic_deploy.diff.seeds import moved_seeds, seed_cleanup
from mosaic_deploy.diff.selection import ALL, Selection
from mosaic_deploy.live.api.rate_limit import DEFAULT_PARALLELISM
from mosaic_deploy.live.compare_bytes import Progress
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.catalog import SchemaState
from mosaic_deploy.model.change import (
    Action,
    ApplyMigration,
    DeleteStatic,
    DeleteStorageFile,
    LoosenPolicy,
    PutStorageFile,
    RecordMigration,
    SetAuth,
)
from mosaic_deploy.model.plan import Note, Plan, Severity
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files.digests import OnHashed, ignore_progress
from mosaic_deploy.source.migrations.files import ParsedFile
from mosaic_deploy.source.snapshot import AUTH_FILE, Desired
from mosaic_deploy.sql.execution.records import SEED

if TYPE_CHECKING:
    from mosaic_deploy.sql.hazards import StepWrites

CompareCommit = Callable[[str | None, bool], Sequence[Note]]
_ABOUT_UNCOMMITTED = frozenset({"commit_dirty", "live_commit_dirty"})
_UNRECORDED = frozenset(
    {SchemaState.NOT_RECORDED, SchemaState.UNFINISHED, SchemaState.SERVER_CHANGED, SchemaState.DAMAGED}
)


@dataclass(frozen=True, slots=True)
class Target:
    """Selects the project: by `id`, else by `hint` if the account has that ID, else by `name`."""

    id: str | None
    name: str | None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Options of the command line."""

    allow_out_of_order: bool = False
    selection: Selection = ALL
    compare_bytes: Progress | None = None
    """If given, live files are fetched and compared, and it is called with the progress; else recorded digests and sizes."""
    parallelism: int = DEFAULT_PARALLELISM
    on_hashed: OnHashed = ignore_progress
    postpone_empty_migrations: bool = False
    """Postpone pending migrations without a statement, because they are still being written."""
    unbuilt: bool = False
    """Leave out files that the build hasn't made yet; else that is an error."""
    files_only: bool = False
    """Leave out migrations, seeds, extensions and auth."""
    due: frozenset[str] | None = None
    """Of the static files that are kept for a while, those to delete, as a saved plan does; None if their time decides."""
    compare_commit: CompareCommit | None = None
    """Is given the live commit, and whether its deploy had uncommitted changes. Returns notes about how the folder and
    its commit relate to it."""
    on_blocked: Callable[[Plan], None] | None = None
    """Is given the plan of everything else before an error of the migrations is raised."""

    @property
    def leaves_out_unbuilt(self) -> bool:
        """`unbuilt`, or the selection is about no files."""
        return self.unbuilt or not self.selection.takes_files


DEFAULTS = PlanOptions()


@dataclass(frozen=True, slots=True)
class PreparedPlan:
    """A plan with what is needed to apply it: both sides, and the parsed SQL files."""

    plan: Plan
    desired: Desired
    live: LiveState
    parsed: tuple[ParsedFile, ...] = ()
    seeds: tuple[ParsedFile, ...] = ()
    """The seed files to run."""
    selection: Selection = ALL
    postponed_migrations: tuple[str, ...] = ()
    """With `postpone_empty_migrations`: the paths of a migration without a statement, and of those after it."""
    writes: Mapping[str, Mapping[int, StepWrites]] = field(default_factory=dict)
    """As in Findings."""

    @property
    def owner_record(self) -> dict[str, object] | None:
        """What the record of the history's owner must become; None if it is right."""
        own, recorded = history_owner(self.desired.manifest), parse_owner(self.live.ledger_facts.get("owner"))
        if self.desired.snapshot.migrations is None or own is None or own == recorded:
            return None
        extends = any(
            isinstance(change, ApplyMigration)
            or (isinstance(change, RecordMigration) and change.action is Action.ADD)
            for change in self.plan.changes
        )
        moved = (own.is_other(recorded) or own.refines(recorded)) and not self.plan.partial
        return owner_record(own) if extends or moved else None

    @property
    def owner_pending(self) -> bool:
        """Whether the history is recorded as another manifest's, whose folder may have been moved here."""
        return self.owner_record is not None and bool(moved_from(self.desired.manifest, self.live))

    @property
    def moved_seeds(self) -> tuple[Object, ...]:
        """The recorded seeds of this manifest under the name that it had before."""
        return moved_seeds(self.desired.snapshot, self.live.snapshot)

    @property
    def has_live_seeds(self) -> bool:
        """Whether seeds have run, other than repeatable files."""
        return bool((self.live.snapshot.seeds or {}).keys() - self.desired.snapshot.repeatable)

    @property
    def read_during_deploy(self) -> bool:
        """Whether another deploy was running while the live side was read, so it may have changed since."""
        return bool(self.live.ledger_facts.get("lease"))

    def ledger_cleanup(self) -> Mapping[str, LedgerCleanup]:
        """By kind, rows of the ledger to correct that no change of the plan is about. Empty for a partial plan."""
        if self.plan.partial:
            return {}
        wanted, live = self.desired.snapshot, self.live.snapshot
        static = {change.path for change in self.plan.changes if isinstance(change, DeleteStatic)}
        storage_files = {change.path for change in self.plan.changes if isinstance(change, DeleteStorageFile)}
        unproven = {
            kind: self.live.unproven.get(kind, NO_UNPROVEN) for kind in (ledger.STATIC, ledger.STORAGE)
        }
        manifest = wanted.manifest
        return {
            ledger.STATIC: ledger_cleanup(
                wanted.static, live.static, static, manifest, unproven[ledger.STATIC]
            ),
            ledger.STORAGE: ledger_cleanup(
                wanted.storage, live.storage, storage_files, manifest, unproven[ledger.STORAGE]
            ),
            SEED: seed_cleanup(wanted, live),
        }

    @property
    def has_leftover_work(self) -> bool:
        """Whether an apply of an empty plan still has something to do: checks, rows of the ledger, or records."""
        return (
            self.checks_pending
            or self.record_pending
            or self.policy_pending
            or self.owner_pending
            or bool(self.moved_seeds)
            or self.schema_pending
            or any(self.ledger_cleanup().values())
        )

    def with_run_notes(self, compare_commit: CompareCommit | None) -> PreparedPlan:
        """With the URLs of storage files, and with notes on the live commit, removed sections, and what is only recorded.

        Uncommitted changes matter if there are changes.
        """
        live = self.live.ledger_facts.get("commit") or {}
        notes = compare_commit(live.get("hash"), bool(live.get("dirty"))) if compare_commit else []
        if self.plan.empty:
            notes = [note for note in notes if note.code not in _ABOUT_UNCOMMITTED]
        if any(note.code in NOT_BUILT_UPON for note in notes):
            replaced = replaced_work_note(self.plan.changes, self.live.ledger_facts.get("last") or {})
            notes = [*notes, *([replaced] if replaced else [])]
        left = (*self.removed_section_notes(), *self._owner_notes(), *self._leftover_notes())
        paths = (change.path for change in self.plan.changes if isinstance(change, PutStorageFile))
        urls = self.live.storage_urls.known(paths)
        plan = replace(self.plan, notes=(*notes, *self.plan.notes, *left), storage_urls=urls)
        return replace(self, plan=plan)

    def removed_section_notes(self) -> Iterator[Note]:
        """What earlier deploys of this manifest left in sections that it doesn't have any longer."""
        wanted, live = self.desired.snapshot, self.live.snapshot
        has_storage = self.desired.manifest.storage is not None
        if not self.desired.unbuilt:
            yield from removed_section_notes(
                wanted, live, self.live.unproven, (AUTH_FILE,), has_storage=has_storage
            )
        owner = parse_owner(self.live.ledger_facts.get("owner"))
        if wanted.migrations is None and owner and owner.is_of(wanted.manifest):
            yield from removed_migrations_notes(live.migrations or ())

    def _owner_notes(self) -> Iterator[Note]:
        """Which manifest can change the migration history from now on."""
        own, recorded = history_owner(self.desired.manifest), parse_owner(self.live.ledger_facts.get("owner"))
        if own and recorded and self.owner_pending:
            message = (
                f"{recorded.named_beside(own)} applied these migrations from {recorded.folder}; an apply records "
                f"them as those of {own.named_beside(recorded)}, and only it can change the history then"
            )
            yield Note("history_owner_changes", message, Severity.WARNING)

    def _leftover_notes(self) -> Iterator[Note]:
        """What an apply of an empty plan records; that it runs checks is a note of its own."""
        if not self.plan.empty or self.plan.partial:
            return
        if self.policy_pending:
            message = "this manifest's policy isn't recorded yet; an apply records it"
            yield Note("policy_not_recorded", message, Severity.INFO)
        if self.live.schema and self.live.schema.state is SchemaState.NOT_RECORDED:
            message = (
                "the database's schema isn't recorded yet, so changes that no deploy made can't be seen; "
                "an apply records it"
            )
            yield Note("schema_not_recorded", message, Severity.INFO)
        if self.record_pending:
            message = "the last deploy was interrupted before it was recorded; an apply records its result"
            yield Note("deploy_not_recorded", message, Severity.INFO)
        if (self.moved_seeds or any(self.ledger_cleanup().values())) and not self.plan.notes:
            message = (
                "the deployment history differs from the live files, which are right; an apply corrects it"
            )
            yield Note("history_not_current", message, Severity.INFO)

    @property
    def policy_record(self) -> dict[str, object] | None:
        """What the record of policies must become; None if it is right, or a looser policy isn't approved yet."""
        before, manifest = self.live.ledger_facts.get("policy"), self.desired.snapshot.manifest
        policy, recorded = self.desired.manifest.policy, recorded_policy(before, manifest)
        left_out = not any(isinstance(change, LoosenPolicy) for change in self.plan.changes)
        if left_out and recorded and loosened(recorded, policy or DEFAULT_POLICY):
            return None
        after = record_with(before, manifest, policy)
        return None if after == before else after

    @property
    def policy_pending(self) -> bool:
        """Whether the policy, unless it is the default one, isn't recorded."""
        has_own = self.desired.manifest.policy not in (None, DEFAULT_POLICY)
        return self.policy_record is not None and (has_own or bool(self.live.ledger_facts.get("policy")))

    @property
    def schema_pending(self) -> bool:
        """Whether the live schema isn't recorded as the last deploy left it."""
        schema = self.live.schema
        return schema is not None and schema.state in _UNRECORDED

    @property
    def record_pending(self) -> bool:
        """Whether the last deploy's end wasn't recorded, so the history doesn't say that everything is deployed."""
        last = self.live.ledger_facts.get("last")
        return bool(last and last.get("status") == "interrupted")

    @property
    def checks_pending(self) -> bool:
        """Whether the checks run also without changes."""
        return self.check_record.to_run(self.desired.manifest.verify)

    @property
    def check_record(self) -> CheckRecord:
        """What is recorded about the checks of this manifest."""
        return parse_check_record(self.live.ledger_facts.get("checks"))

    @property
    def sets_auth(self) -> bool:
        return any(isinstance(change, SetAuth) for change in self.plan.changes)

    @property
    def settings_at_start(self) -> Mapping[str, object]:
        """Rows of the settings table, by name, to write before anything is changed."""
        record = self.check_record.begun(self.desired.manifest.verify, sets_auth=self.sets_auth)
        return {} if record is None else {ledger.checks_setting(self.desired.snapshot.manifest): record}

    @property
    def needs_apply(self) -> bool:
        """Whether an apply would change something or run checks, and not only tidy its records."""
        return not self.plan.empty or (self.checks_pending and not self.plan.partial)

    @property
    def has_work(self) -> bool:
        """Whether there is anything to apply: changes, or leftover work of a complete plan."""
        return not self.plan.empty or (self.has_leftover_work and not self.plan.partial)
