"""The table of rules. To add one: a row here, a section in docs/lint.md, and tests/cases/lint/CODE/{bad,good}.sql."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules import (
    access,
    advice,
    columns,
    constraints,
    drops,
    locks,
    protected_tables,
    renames,
    rows,
    sequences,
    unmeasured,
)
from mosaic_deploy.sql.hazards.rules.rule import UNREPORTED_LOCK, UNREPORTED_ROWS, Check, Finding, Rule
from mosaic_deploy.sql.hazards.syntax.trees import DYNAMIC_SQL, FUNCTION_CALL, Effect

_DESTRUCTIVE, _SECURITY, _BLOCKING, _RISKY, _ADVICE = HazardSeverity


def _rule(
    code: str, severity: HazardSeverity, kinds: str, check: Check, instead: str, *, at_end: bool = False
) -> Rule:
    return Rule(code, severity, frozenset(kinds.split()), check, instead, at_end)


def _checked_elsewhere(_: Effect, __: Scope) -> Iterator[Finding]:
    """For rules whose findings come from `review.py`, `ignore.py`, and rehearsals."""
    return iter(())


RULES: tuple[Rule, ...] = (
    _rule("drop_table", _DESTRUCTIVE, "DropStmt", drops.drop_table,
          "rename it now, drop it in a later release"),
    _rule("drop_column", _DESTRUCTIVE, "AlterTableStmt", columns.drop_column,
          "stop using it first, drop it in a later release"),
    _rule("drop_schema", _DESTRUCTIVE, "DropStmt", drops.drop_schema,
          "move what you want to keep, then drop the empty schema without CASCADE"),
    _rule("drop_type", _DESTRUCTIVE, "DropStmt", drops.drop_type,
          "change the columns that use it first, then drop it without CASCADE"),
    _rule("drop_extension", _DESTRUCTIVE, "DropStmt", drops.drop_extension,
          "change the columns that use its types first, then drop it without CASCADE"),
    _rule("drop_cascade", _DESTRUCTIVE, "DropStmt AlterTableStmt", drops.drop_cascade,
          "change the columns that use it first, then drop it without CASCADE"),
    _rule("drop_object", _DESTRUCTIVE, "", _checked_elsewhere,
          "drop it in a later release, when nothing uses it"),
    _rule("drop_attribute", _DESTRUCTIVE, "AlterTableStmt", drops.drop_attribute,
          "create a new type and move the columns over"),
    _rule("drop_owned", _DESTRUCTIVE, "DropOwnedStmt", drops.drop_owned,
          "drop objects by name, or use REASSIGN OWNED"),
    _rule("drop_database", _DESTRUCTIVE, "DropdbStmt", drops.drop_database,
          "drop databases by hand, never in a migration"),
    _rule("truncate", _DESTRUCTIVE, "TruncateStmt", rows.truncate,
          "DELETE with a WHERE that selects the rows"),
    _rule("column_values_lost", _DESTRUCTIVE, "AlterTableStmt", columns.column_values_lost,
          "add a column of the new type, fill it in batches, drop the old one in a later release"),
    _rule("delete_without_where", _DESTRUCTIVE, "DeleteStmt MergeStmt", rows.delete_without_where,
          "add a WHERE that selects the rows"),
    _rule("deletes_rows", _DESTRUCTIVE, "DeleteStmt MergeStmt", rows.deletes_rows,
          "mark the rows as deleted, and delete them in a later release"),
    _rule("update_without_where", _DESTRUCTIVE, "UpdateStmt MergeStmt", rows.update_without_where,
          "add a WHERE that selects the rows; fill new columns in batches"),
    _rule("upsert_overwrites", _DESTRUCTIVE, "InsertStmt", rows.upsert_overwrites,
          "add a WHERE to DO UPDATE that selects the rows, or use DO NOTHING"),
    _rule("set_unlogged", _DESTRUCTIVE, "AlterTableStmt", rows.set_unlogged,
          "keep it logged; load rows into a new unlogged table, and set that LOGGED"),
    _rule("sequence_moved_back", _DESTRUCTIVE, f"AlterSeqStmt AlterTableStmt {FUNCTION_CALL}",
          sequences.sequence_moved_back, "set it to the largest value of the rows: setval(…, (SELECT max(id) FROM …))"),
    _rule("protected_rows", _DESTRUCTIVE, "DeleteStmt UpdateStmt InsertStmt MergeStmt", rows.protected_rows,
          "add new columns or rows and keep the existing values"),
    _rule("protected_name", _DESTRUCTIVE, "RenameStmt AlterObjectSchemaStmt", protected_tables.protected_name,
          "add the new name to policy.protected_tables"),
    _rule(UNREPORTED_ROWS, _DESTRUCTIVE, "", _checked_elsewhere,
          "change the trigger, view or function so that it keeps the rows"),
    _rule("unmeasured", _DESTRUCTIVE, f"CallStmt DoStmt IndexStmt {FUNCTION_CALL}", unmeasured.unmeasured,
          "write the statements out, so that they run in the migration's transaction"),
    _rule("strings_setting", _DESTRUCTIVE,
          f"VariableSetStmt AlterRoleSetStmt AlterDatabaseSetStmt {FUNCTION_CALL}", access.strings_setting,
          "leave it on, and write E'…' where a backslash is an escape"),
    _rule("disable_triggers", _SECURITY, "AlterTableStmt VariableSetStmt", access.disable_triggers,
          "leave triggers enabled, or enable them again in the same transaction"),
    _rule("disable_row_security", _SECURITY, "AlterTableStmt", access.disable_row_security,
          "change the policies instead"),
    _rule("grant_to_public", _SECURITY, "GrantStmt AlterDefaultPrivilegesStmt", access.grant_to_public,
          "grant to the role that needs it"),
    _rule("definer_search_path", _SECURITY, "CreateFunctionStmt AlterFunctionStmt",
          access.definer_search_path, "add SET search_path = '' and qualify names with their schema"),
    _rule("security_invoker_lost", _SECURITY, "ViewStmt AlterTableStmt", access.security_invoker_lost,
          "repeat WITH (security_invoker = true)"),
    _rule("column_type", _BLOCKING, "AlterTableStmt", columns.column_type,
          "add a column of the new type, fill it in batches, switch over, drop the old one later"),
    _rule("add_column_rewrites", _BLOCKING, "AlterTableStmt", columns.add_column_rewrites,
          "add a plain column, then set its default, then fill existing rows in batches"),
    _rule("set_not_null", _BLOCKING, "AlterTableStmt", columns.set_not_null,
          "add CHECK (column IS NOT NULL) NOT VALID, validate it in a later transaction, then SET NOT NULL"),
    _rule("foreign_key_validates", _BLOCKING, "AlterTableStmt", constraints.foreign_key_validates,
          "add it as NOT VALID, then VALIDATE CONSTRAINT in a later transaction"),
    _rule("check_validates", _BLOCKING, "AlterTableStmt AlterDomainStmt", constraints.check_validates,
          "add it as NOT VALID, then VALIDATE CONSTRAINT in a later transaction"),
    _rule("validate_same_transaction", _BLOCKING, "AlterTableStmt", constraints.validate_same_transaction,
          "validate in a separate migration"),
    _rule("attach_scans", _BLOCKING, "AlterTableStmt", constraints.attach_scans,
          "add a CHECK with the partition's bounds as NOT VALID, validate it in a later transaction, then attach"),
    _rule("constraint_builds_index", _BLOCKING, "AlterTableStmt", constraints.constraint_builds_index,
          "CREATE UNIQUE INDEX CONCURRENTLY first, then ADD CONSTRAINT … USING INDEX"),
    _rule("index_locks", _BLOCKING, "IndexStmt", locks.index_locks, "CREATE INDEX CONCURRENTLY"),
    _rule("drop_index_locks", _BLOCKING, "DropStmt", locks.drop_index_locks, "DROP INDEX CONCURRENTLY"),
    _rule("reindex_locks", _BLOCKING, "ReindexStmt", locks.reindex_locks, "REINDEX … CONCURRENTLY"),
    _rule("lock_table", _BLOCKING, "LockStmt", locks.lock_table,
          "lock only the rows you need, or keep the transaction short"),
    _rule("table_rewrite", _BLOCKING, "AlterTableStmt", locks.table_rewrite,
          "run it while nothing uses the table"),
    _rule("vacuum_full", _BLOCKING, "VacuumStmt ClusterStmt", locks.vacuum_full,
          "plain VACUUM, or pg_repack"),
    _rule("refresh_locks", _BLOCKING, "RefreshMatViewStmt", locks.refresh_locks,
          "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index"),
    _rule(UNREPORTED_LOCK, _BLOCKING, "", _checked_elsewhere,
          "do it while nothing uses the table, or in smaller steps"),
    _rule("not_null_without_default", _RISKY, "AlterTableStmt", columns.not_null_without_default,
          "give it a default, or add it without NOT NULL and fill it first"),
    _rule("rename_table", _RISKY, "RenameStmt AlterObjectSchemaStmt", renames.rename_table,
          "keep a view with the old name until nothing uses it"),
    _rule("rename_column", _RISKY, "RenameStmt", renames.rename_column,
          "add the new column, write both, switch over, drop the old one later"),
    _rule("rename_schema", _RISKY, "RenameStmt", renames.rename_schema,
          "create the new schema and move tables one by one, each with a view in the old one"),
    _rule("rename_object", _RISKY, "RenameStmt AlterObjectSchemaStmt AlterEnumStmt", renames.rename_object,
          "create it under the new name too, drop the old one in a later release"),
    _rule("row_security_without_policy", _RISKY, "AlterTableStmt DropStmt", access.row_security_without_policy,
          "add a policy in the same migration", at_end=True),
    _rule("policy_without_row_security", _SECURITY, "CreatePolicyStmt", access.policy_without_row_security,
          "ALTER TABLE … ENABLE ROW LEVEL SECURITY", at_end=True),
    _rule("partition_detached", _RISKY, "AlterTableStmt", protected_tables.partition_detached,
          "keep the partition until its rows are copied"),
    _rule("rewrite_rule", _RISKY, "RuleStmt", protected_tables.rewrite_rule,
          "use a trigger"),
    _rule("primary_key_change", _RISKY, "AlterTableStmt", columns.primary_key_change,
          "build the new key's index CONCURRENTLY, then swap both in one ALTER TABLE"),
    _rule("dynamic_sql", _ADVICE, DYNAMIC_SQL, drops.dynamic_sql, "write the statements out"),
    _rule("int4_key", _ADVICE, "CreateStmt AlterTableStmt", advice.int4_key,
          "bigint GENERATED ALWAYS AS IDENTITY, or uuid"),
    _rule("json_column", _ADVICE, "CreateStmt AlterTableStmt", advice.json_column, "jsonb"),
    _rule("timestamp_without_zone", _ADVICE, "CreateStmt AlterTableStmt", advice.timestamp_without_zone,
          "timestamptz"),
    _rule("no_statements", _ADVICE, "", _checked_elsewhere, "write the SQL, or delete the file before it is applied"),
    _rule("updates_unknown", _ADVICE, "", _checked_elsewhere, "name a table that exists, or remove the name"),
    _rule("ignore_unknown", _ADVICE, "", _checked_elsewhere, "use a rule name from docs/lint.md"),
    _rule("ignore_unused", _ADVICE, "", _checked_elsewhere, "delete the comment"),
    _rule("ignore_without_reason", _ADVICE, "", _checked_elsewhere, "add a reason: -- mosaic-ignore: RULE REASON"),
)  # fmt: skip

RULES_BY_CODE = {rule.code: rule for rule in RULES}
RULES_BY_KIND: dict[str, tuple[Rule, ...]] = {
    kind: tuple(rule for rule in RULES if kind in rule.kinds)
    for kind in {kind for rule in RULES for kind in rule.kinds}
}
