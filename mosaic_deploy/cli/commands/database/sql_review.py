"""The review of SQL that `sql` sends: the same as of a migration, with the same policy and the same approvals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.terminal.consent import is_interactive, missing_approvals, require_approvals
from mosaic_deploy.deploy.planning.hazards import find_hazards
from mosaic_deploy.deploy.planning.read_target import with_recorded_policy
from mosaic_deploy.diff.policy import apply_policy, refuse_denied
from mosaic_deploy.errors import Location, SqlInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.approval import DESTRUCTIVE
from mosaic_deploy.model.hazard import Hazard, HazardSeverity
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.model.snapshot import Migration, Project, Snapshot
from mosaic_deploy.source.migrations.files import MigrationFile, ParsedFile
from mosaic_deploy.sql.execution.split import ExecutionMode, StepSql
from mosaic_deploy.sql.execution.transactions import outside_transaction_reason
from mosaic_deploy.sql.guard.agreement import Agreement
from mosaic_deploy.sql.guard.request import has_own_transactions
from mosaic_deploy.sql.ledger_writes import LEDGER_SCHEMA, first_ledger_write
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, line_and_column, parse
from mosaic_deploy.sql.session.strings import OFF_IN_DATABASE, OTHER_STRINGS, STRINGS_QUERY, turn_on_hint
from mosaic_deploy.sql.text_settings import changes_strings

if TYPE_CHECKING:
    from mosaic_deploy.sql.hazards import DeclaredUpdate, StepWrites

_NOT_MEASURED = frozenset({"tracking_tables", "strings_setting", "unmeasured", "sequence_moved_back"})
"""The codes of hazards that no measurement shows."""


@dataclass(frozen=True, slots=True)
class SqlReview:
    """SQL that the policy allows as far as its text shows. Messages call it `name`.

    `measurable`: all of it runs in the request's one transaction, so the guard sees what it does.
    """

    text: str
    name: str
    policy: PolicySpec | None
    plan: Plan | None = None
    writes: StepWrites | None = None
    measurable: bool = False

    @property
    def to_confirm(self) -> tuple[Hazard, ...]:
        """The destructive hazards that a person must approve because no measurement shows them."""
        found = self.plan.to_confirm if self.plan else ()
        return tuple(one for one in found if not self.measurable or one.code in _NOT_MEASURED)

    def agreement(self, *, anything: bool) -> Agreement:
        """What the text itself says that it does, also in `mosaic-updates` comments, and isn't destructive."""
        from mosaic_deploy.sql.hazards import StepWrites, agreement

        writes = self.writes or StepWrites()
        destroyed = {
            table
            for one in (self.plan.to_confirm if self.plan else ())
            for table in (one.table, *one.cascades_to)
        }
        updates = {
            table: rows
            for table, rows in (writes.declared | writes.updates).items()
            if table not in destroyed
        }
        meant = StepWrites(
            updates,
            moves=writes.agreed_moves - destroyed,
            code=writes.code,
            retypes=writes.retypes - destroyed,
            rewrites=writes.rewrites - destroyed,
        )
        return agreement(meant, (), anything=anything)


def review_sql(
    api: Api,
    project: Project,
    manifest: Manifest,
    text: str,
    name: str,
    allow: Collection[str],
    *,
    is_file: bool,
) -> SqlReview:
    """Reviews SQL before it is sent. Messages call it `name`.

    Raises PolicyDenied, and SqlInvalid for SQL that can't be reviewed.
    """
    manifest = with_recorded_policy(api, project.id, manifest)
    try:
        statements = parse(text)
        _refuse_other_strings(statements)
        _refuse_off_in_database(api, project.id, statements)
    except SqlSyntaxError as error:
        _refuse_off_in_database(api, project.id)
        _refuse_unread(error, text, name, manifest.policy, allow, is_file=is_file)
        return SqlReview(text, name, manifest.policy)
    # Nothing checks again before it runs that a table is still empty, so the review mustn't count on it.
    step = StepSql(tuple(statements), ExecutionMode.OUTSIDE_TRANSACTION)
    file = ParsedFile(
        MigrationFile(Migration("", name, "", ""), name, text), (step,), declared=_declared(text, name)
    )
    found = find_hazards(api, Snapshot(project), [file], manifest.policy)
    measurable = not has_own_transactions(statements) and not any(map(outside_transaction_reason, statements))
    unmeasured = () if measurable else _unmeasured_hazards(statements, text, name)
    hazards = (*_history_hazards(statements, text, name), *unmeasured, *found.hazards)
    plan = apply_policy(Plan(project, (), (), "", "", 0), hazards, manifest)
    refuse_denied(plan, "this SQL")
    return SqlReview(text, name, manifest.policy, plan, found.writes.get(name, {}).get(1), measurable)


def require_sql_approval(screen: Screen, review: SqlReview, allow: Collection[str]) -> bool:
    """Returns if the SQL may be sent, as far as its text shows: whether a person was asked.

    Raises DestructiveUnconfirmed, Declined.
    """
    if not review.plan:
        return False
    missing = missing_approvals(replace(review.plan, hazards=review.to_confirm), review.policy, allow)
    if missing:
        if is_interactive():
            # The list above the question says what it is about.
            missing = tuple(replace(each, effect="destroys data", problems=()) for each in missing)
            screen.print_notice(f"{hazard.location}: {hazard.message}" for hazard in review.to_confirm)
        require_approvals(missing, allow, command_line(), "Run it anyway?")
    return bool(missing)


def _declared(text: str, name: str) -> tuple[DeclaredUpdate, ...]:
    """The tables of `mosaic-updates` comments. Raises SqlInvalid for one with something else."""
    from mosaic_deploy.sql.hazards import UpdatesInvalid, declared_updates

    try:
        return declared_updates(text)
    except UpdatesInvalid as error:
        raise SqlInvalid(
            error.message, location=Location(name, *line_and_column(text, error.offset))
        ) from None


def _refuse_other_strings(statements: Sequence[Statement]) -> None:
    """Raises SqlSyntaxError if strings may be read otherwise than by this parser."""
    for statement in statements:
        if changes_strings(statement):
            raise SqlSyntaxError(OTHER_STRINGS, statement.offset)


def _refuse_off_in_database(api: Api, project: str, statements: Sequence[Statement] = ()) -> None:
    """Raises SqlInvalid if PostgreSQL reads strings otherwise there, except for statements that set defaults."""
    if statements and all(one.kind in ("AlterRoleSetStmt", "AlterDatabaseSetStmt") for one in statements):
        return
    (row,) = api.sql(project, STRINGS_QUERY)
    if row["strings"] != "on":
        raise SqlInvalid(f"{OFF_IN_DATABASE}; nothing was sent", hint=turn_on_hint(str(row["turn_on"])))


def _history_hazards(statements: Sequence[Statement], text: str, name: str) -> Iterator[Hazard]:
    """What changes the tracking tables counts as destructive: deploys trust them. A migration can't change them at all."""
    if found := first_ledger_write(statements, text):
        location = Location(name, *line_and_column(text, found[1]))
        message = f"changes schema {LEDGER_SCHEMA}, which holds mosaic-deploy's tracking tables"
        yield Hazard("tracking_tables", HazardSeverity.DESTRUCTIVE, message, LEDGER_SCHEMA, location)


def _unmeasured_hazards(statements: Sequence[Statement], text: str, name: str) -> Iterator[Hazard]:
    """SQL with transactions of its own may do anything to existing rows: what triggers and functions do isn't seen in it."""
    from mosaic_deploy.sql.hazards import may_run_code

    first = next((one for one in statements if may_run_code(one)), None)
    if first is not None and has_own_transactions(statements):
        location = Location(name, *line_and_column(text, first.offset))
        message = "has its own transactions, so what it does to existing rows can't be measured"
        yield Hazard("unmeasured", HazardSeverity.DESTRUCTIVE, message, "", location, table="*")


def _refuse_unread(
    error: SqlSyntaxError,
    text: str,
    name: str,
    policy: PolicySpec | None,
    allow: Collection[str],
    *,
    is_file: bool,
) -> None:
    """Raises unless destroying data is approved: a statement that this parser doesn't know may, if PostgreSQL knows it."""
    where = None if error.offset is None else Location(name, *line_and_column(text, error.offset))
    message = f"{where}: {error.message}" if where and not is_file else error.message
    location = where if is_file else None
    if policy and (policy.destructive == "deny" or policy.protected_tables):
        raise SqlInvalid(
            message,
            location=location,
            hint="nothing was sent; fix the SQL. The manifest's policy forbids SQL that can't be checked",
        )
    if DESTRUCTIVE not in allow and not (policy and policy.destructive == "allow"):
        raise SqlInvalid(
            message,
            location=location,
            hint="nothing was sent; fix the SQL. If your PostgreSQL accepts it, send it unchecked with --allow destructive",
        )
