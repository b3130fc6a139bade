"""`mosaic-deploy history`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.layout import table
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.model.kind import kind_count_text
from mosaic_deploy.model.quantities import age_text

if TYPE_CHECKING:
    from mosaic_deploy.live.ledger.deploys import Deploy


@click.command()
@click.option(
    "--limit",
    type=options.NumberRange(click.IntRange(1, 1000)),
    default=20,
    help="Show at most N (default: 20, at most 1000).",
    metavar="N",
)
@options.target_options
@options.output
@click.pass_obj
def history(
    screen: Screen,
    limit: int,
    target_options: TargetOptions,
) -> None:
    """Show the deployment history. Lists time, user, environment, commit, result and changes.

    \b
    Examples:
      mosaic-deploy history
      mosaic-deploy history --limit 5 --env staging
    """
    session = target_options.open("project_only")
    from mosaic_deploy.live.ledger.deploys import read_deploys

    with session:
        found = read_deploys(session.api, folder_option.find_project(session).id, limit)
    screen.result({"type": "history", "deploys": [_document(deploy) for deploy in found]}, _lines(found))


def _document(deploy: Deploy) -> dict[str, object]:
    """The deploy; `sql` is a list, as that of `apply`, and `step_count` stands for its steps."""
    sql = [
        {
            "address": address,
            **{"step_count" if name == "steps" else name: fact for name, fact in facts.items()},
        }
        for address, facts in deploy.sql.items()
    ]
    return {**asdict(deploy), "sql": sql}


def _lines(found: Sequence[Deploy]) -> Iterator[str]:
    if not found:
        yield "no deploys yet"
        return
    environments = any(deploy.environment for deploy in found)
    approvals = any(deploy.approval for deploy in found)
    names = (
        "started",
        "result",
        "who",
        *(["environment"] if environments else []),
        "commit",
        *(["approved"] if approvals else []),
        "what",
    )
    rows = [_row(deploy, environments=environments, approvals=approvals) for deploy in found]
    yield from table(names, rows)


def _row(deploy: Deploy, *, environments: bool, approvals: bool) -> tuple[object, ...]:
    return (
        age_text(deploy.started_at),
        deploy.status,
        deploy.holder,
        *([deploy.environment] if environments else []),
        f"{deploy.commit[:12]}{'-dirty' if deploy.dirty else ''}" if deploy.commit else None,
        *([_approval_text(deploy.approval)] if approvals else []),
        deploy.error or _changes_text(deploy),
    )


def _changes_text(deploy: Deploy) -> str:
    """Counts per resource, such as `3 static files (1 added, 2 deleted), 1 migration, auth settings`."""
    if deploy.done is None:
        return "running" if deploy.status == "running" else "not recorded"
    kinds = Counter(address.partition(":")[0] for address in deploy.done)
    counts = deploy.counts or {}
    texts = (
        f"{kind_count_text(kind, count)}{_actions_text(kind, counts.get(kind, {}))}"
        for kind, count in kinds.items()
    )
    return ", ".join(texts) or "nothing"


_ACTIONS = {"add": "added", "change": "changed", "destroy": "deleted"}
_FILE_KINDS = frozenset({"static", "storage"})


def _actions_text(kind: str, counts: Mapping[str, int]) -> str:
    """` deleted` if all files were, else ` (1 added, 2 deleted)`; empty for what isn't a file, or wasn't recorded."""
    words = [(counts[action], word) for action, word in _ACTIONS.items() if counts.get(action)]
    if kind not in _FILE_KINDS or not words:
        return ""
    if len(words) == 1:
        return f" {words[0][1]}"
    return f" ({', '.join(f'{count:,} {word}' for count, word in words)})"


_CONFIRMED = {"answer": "answer", "yes": "--yes", "ci": "ci apply", "saved_plan": "saved plan"}
_BY = {"allow": "--allow {value}", "policy": "{value} by the policy", "answer": "{value} by answer"}


def _approval_text(approval: Mapping[str, Any] | None) -> str | None:
    """How the plan was confirmed, and what of it was approved: `--yes, --allow prune=4`."""
    confirmed = str((approval or {}).get("confirmed") or "")
    if not approval or not confirmed:
        return None
    approved = approval.get("approved") or []
    texts = [_BY.get(str(each["by"]), "{value}").format(value=each["value"]) for each in approved]
    return ", ".join([_CONFIRMED.get(confirmed, confirmed), *dict.fromkeys(texts)])
