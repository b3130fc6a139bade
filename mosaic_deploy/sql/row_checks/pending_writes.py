"""Which tables pending statements may write to, as far as their text says. If in doubt, all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.tree import walk

_WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_DEFINING = (
    *(
        "Alter",
        "Comment",
        "CompositeType",
        "Create",
        "Define",
        "Drop",
        "Grant",
        "Index",
        "Lock",
        "Reindex",
        "Rename",
        "Rule",
    ),
    *("Transaction", "Truncate", "Vacuum", "Variable", "View"),
)
"""How the kinds of statements begin that write no rows. Those that rewrite tables are seen in the rehearsal: they give them new files."""
_QUERIES = frozenset({"SelectStmt", "CreateTableAsStmt", "CopyStmt", "RefreshMatViewStmt"})
_STORED = frozenset(
    {"CreateFunctionStmt", "CreateStmt", "RuleStmt", "ViewStmt", "CreatePolicyStmt", "CreateTrigStmt"}
)
"""They hold statements or calls that don't run when they are made."""
_RUN_TEXTS = frozenset(
    {"dblink", "dblink_exec", "dblink_send_query", "schedule", "query_to_xml", "lo_import"}
)
"""Functions that run a text, or may."""


@dataclass(frozen=True, slots=True)
class PendingWrites:
    """`tables` are names without schemas. `anything`: a statement may write to any table.

    `converted` are (table, column) whose type a statement changes with an expression of its own. `retyped` are all columns
    whose type a statement changes, of any table, under every name they have meanwhile. `truncates`: a statement is a TRUNCATE.
    """

    tables: frozenset[str] = frozenset()
    anything: bool = False
    converted: frozenset[tuple[str, str]] = frozenset()
    retyped: frozenset[str] = frozenset()
    truncates: bool = False


def pending_writes(
    statements: Iterable[Statement],
    routines: Collection[str],
    tables: Collection[str],
    acting: Collection[str],
) -> PendingWrites:
    """What the statements write. `routines` are names of functions that may write; `tables` of those that writes go to directly.

    Writes to `acting` tables, or to other names such as views, may change any table.
    """
    known, acts, called = set(tables), set(acting), {*routines, *_RUN_TEXTS}
    written: set[str] = set()
    converted: set[tuple[str, str]] = set()
    retyped: set[str] = set()
    renames: list[frozenset[str]] = []
    anything = truncates = False
    for statement in statements:
        if statement.parsed is None and statement.kind != "DoStmt":
            return PendingWrites(anything=True)  # a large file, whose trees take too long to make
        kind, node = statement.kind, statement.node
        if kind == "CreateFunctionStmt":
            called |= _last_names(node.get("funcname", []))
        if kind in ("CreateTrigStmt", "RuleStmt"):
            acts.add(str(node.get("relation", {}).get("relname", "")))
        if kind == "AlterTableStmt":
            for table, column, with_expression in _type_changes(node):
                retyped.add(column)
                converted |= {(table, column)} if with_expression else set()
        if kind == "RenameStmt" and node.get("renameType") in ("OBJECT_COLUMN", "OBJECT_ATTRIBUTE"):
            renames.append(frozenset({str(node["subname"]), str(node["newname"])}))
        truncates = truncates or kind == "TruncateStmt"
        defines = kind.startswith(_DEFINING) and "EventTrig" not in kind
        anything = anything or not (defines or kind in _QUERIES | _WRITES)
        if kind in _STORED:
            continue
        written |= set(_targets(statement.tree))
        anything = anything or any(name in called for name in _calls(statement.tree))
    renamed = written - known
    return PendingWrites(
        frozenset(written),
        anything or bool(renamed or written & acts),
        frozenset(converted),
        _with_other_names(retyped, renames),
        truncates,
    )


def _targets(tree: Tree) -> Iterator[str]:
    """What INSERT, UPDATE, DELETE, MERGE, COPY and REFRESH write to, also inside WITH."""
    for kind, node in walk(tree):
        if kind in _WRITES | {"RefreshMatViewStmt"} or (kind == "CopyStmt" and node.get("is_from")):
            yield str(node.get("relation", {}).get("relname", ""))


def _calls(tree: Tree) -> Iterator[str]:
    """Functions that are called. Those of CHECKs and indexes don't count, which only compute."""
    checks = (
        node for kind, node in walk(tree) if kind == "IndexStmt" or node.get("contype") == "CONSTR_CHECK"
    )
    computing = {id(call) for check in checks for _, call in walk(check)}
    for kind, node in walk(tree):
        if kind == "FuncCall" and id(node) not in computing:
            yield from called_names(node)


def called_names(call: Tree) -> set[str]:
    """The function's name in the fields of a FuncCall, without its schema."""
    return _last_names(call.get("funcname", []))


def _last_names(parts: list[Tree]) -> set[str]:
    return {str(each.get("String", {}).get("sval", "")) for each in parts[-1:]}


def _type_changes(node: Tree) -> Iterator[tuple[str, str, bool]]:
    """Table, column and whether the statement has an expression (USING), of the fields of an AlterTableStmt."""
    table = str(node.get("relation", {}).get("relname", ""))
    for command in node.get("cmds", []):
        fields = command.get("AlterTableCmd", {})
        if fields.get("subtype") == "AT_AlterColumnType":
            definition = fields.get("def", {}).get("ColumnDef", {})
            yield table, str(fields.get("name", "")), "raw_default" in definition


def _with_other_names(names: set[str], renames: Collection[frozenset[str]]) -> frozenset[str]:
    """The names, and those that renames give them or gave them before."""
    found = frozenset(names)
    while more := frozenset().union(*(pair for pair in renames if pair & found)) - found:
        found |= more
    return found
