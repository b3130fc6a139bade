"""How PostgreSQL runs a query: the nodes of `EXPLAIN (FORMAT JSON)` as a tree for people.

The fields are those of PostgreSQL's documentation, "Using EXPLAIN".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.platform.dashboard.queries.results import ResultSet

_SUBJECTS = ("Relation Name", "Function Name", "CTE Name", "Subplan Name")
_CONDITIONS = (
    "Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter", "One-Time Filter",
)  # fmt: skip
_MANY_TIMES_OFF = 10
_MUCH_OF_THE_TIME = 0.5
_MANY_ROWS = 1000


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One step. `share` is its own part, without its children, of the query's time, or of its cost if it didn't run.

    `rows` are expected per loop, `actual_rows` were returned per loop (-1 if it didn't run).
    """

    title: str
    details: tuple[str, ...]
    warnings: tuple[str, ...]
    share: float
    cost: float
    milliseconds: float
    rows: int
    actual_rows: float
    loops: int
    children: tuple[PlanNode, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """`milliseconds` are of planning and execution; `execution` is -1 if the query didn't run."""

    root: PlanNode
    planning: float
    execution: float


def explain_statement(query: str, *, analyze: bool) -> tuple[str, int]:
    """The statement that explains `query`, a single one, and by how many characters the query moved in it."""
    options = "FORMAT JSON, VERBOSE, SETTINGS" + (", ANALYZE, BUFFERS" if analyze else "")
    start = f"EXPLAIN ({options}) "
    return start + query.strip().rstrip(";"), len(start) - (len(query) - len(query.lstrip()))


def read_plan(results: list[ResultSet]) -> QueryPlan | None:
    """The plan of an `explain_statement`'s results; None if the query has none, as `CREATE TABLE`."""
    rows = results[0].rows if results else []
    text = "\n".join(row[0] or "" for row in rows if row)
    try:
        document = json.loads(text)[0]
        plan = document["Plan"]
    except (ValueError, LookupError, TypeError):
        return None
    executed = "Execution Time" in document
    total = _own_total(plan, executed=executed)
    return QueryPlan(
        _node(plan, total or 1.0, executed=executed),
        float(document.get("Planning Time", 0.0)),
        float(document.get("Execution Time", -1.0)),
    )


def _node(plan: Mapping[str, Any], total: float, *, executed: bool) -> PlanNode:
    children = [*plan.get("Plans", ())]
    own = max(
        0.0, _own_total(plan, executed=executed) - sum(_own_total(one, executed=executed) for one in children)
    )
    share = min(1.0, own / total)
    return PlanNode(
        _title(plan),
        tuple(_details(plan)),
        tuple(_warnings(plan, share, executed=executed)),
        share,
        float(plan.get("Total Cost", 0.0)),
        float(plan.get("Actual Total Time", 0.0)) * int(plan.get("Actual Loops", 1)),
        int(plan.get("Plan Rows", 0)),
        float(plan.get("Actual Rows", -1)) if executed else -1.0,
        int(plan.get("Actual Loops", 1)),
        tuple(_node(one, total, executed=executed) for one in children),
    )


def _own_total(plan: Mapping[str, Any], *, executed: bool) -> float:
    """Of the node with its children: milliseconds over all loops, or cost."""
    if executed:
        return float(plan.get("Actual Total Time", 0.0)) * int(plan.get("Actual Loops", 0))
    return float(plan.get("Total Cost", 0.0))


def _title(plan: Mapping[str, Any]) -> str:
    """`Index Scan on todos using todos_pkey`"""
    subject = next((str(plan[name]) for name in _SUBJECTS if name in plan), "")
    alias = str(plan.get("Alias", ""))
    parts = [
        str(plan.get("Node Type", "?")),
        f"({plan['Join Type']})" if "Join Type" in plan else "",
        f"on {subject}" if subject else "",
        alias if alias not in ("", subject) else "",
        f"using {plan['Index Name']}" if "Index Name" in plan else "",
    ]
    return " ".join(part for part in parts if part)


def _details(plan: Mapping[str, Any]) -> Iterator[str]:
    for name in _CONDITIONS:
        if name in plan:
            yield f"{name}: {plan[name]}"
    for name in ("Sort Key", "Group Key"):
        if keys := plan.get(name):
            yield f"{name}: {', '.join(map(str, keys))}"
    if removed := plan.get("Rows Removed by Filter"):
        yield f"Rows removed by the filter: {removed:,}"
    read, hit = int(plan.get("Shared Read Blocks", 0)), int(plan.get("Shared Hit Blocks", 0))
    if read:
        yield f"Pages: {hit:,} in memory, {read:,} read from disk"


def _warnings(plan: Mapping[str, Any], share: float, *, executed: bool) -> Iterator[str]:
    """What is worth a look: most of the time, wrong estimates, work on disk, many rows read in vain."""
    if share >= _MUCH_OF_THE_TIME and plan.get("Plans"):
        yield f"{share:.0%} of the {'time' if executed else 'cost'}"
    expected, actual = float(plan.get("Plan Rows", 0)), float(plan.get("Actual Rows", 0))
    if executed and max(expected, actual) >= _MANY_ROWS:
        factor = max(expected, 1.0) / max(actual, 1.0)
        if not 1 / _MANY_TIMES_OFF <= factor <= _MANY_TIMES_OFF:
            yield f"expected {expected:,.0f} rows, got {actual:,.0f}: ANALYZE may help"
    if plan.get("Sort Space Type") == "Disk":
        yield f"sorted on disk, {int(plan.get('Sort Space Used', 0)):,} kB"
    removed = float(plan.get("Rows Removed by Filter", 0))
    if plan.get("Node Type") == "Seq Scan" and removed >= _MANY_ROWS and removed > _MANY_TIMES_OFF * actual:
        yield "reads the whole table for few rows: an index may help"
