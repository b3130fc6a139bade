"""Which of GitHub's events `ci plan` and `ci apply` run for.

Other events run with the repository's secrets although someone without write access started them (`issue_comment`,
`pull_request_target`, `workflow_run`, `fork`, …), or for code that isn't merged (`merge_group`). An event is on the list only
if starting it needs write access to the repository, or if GitHub keeps the secrets from others (`pull_request`).
"""

from __future__ import annotations

from collections.abc import Iterable

from mosaic_deploy.cli.commands.ci.github import Github
from mosaic_deploy.errors import EventNotAllowed

APPLY_EVENTS = frozenset({"push", "release", "schedule", "workflow_dispatch"})
PLAN_EVENTS = APPLY_EVENTS | {"pull_request"}


def check_event(github: Github, command: str, allowed: Iterable[str]) -> None:
    """Raises EventNotAllowed in a GitHub job for an event that `command` (plan or apply) isn't meant for.

    `allowed` are more events, by the workflow's author.
    """
    if not github.in_actions:
        return
    if github.is_deletion:
        raise EventNotAllowed(
            f"ci {command} doesn't run for a push that deletes a branch or tag",
            hint="add a condition to the job: if: ${{ !github.event.deleted }}",
        )
    event, known = github.event_name, _known_events(command)
    if event and (event in known or event in allowed):
        return
    name = event or "EVENT"
    raise EventNotAllowed(
        f"ci {command} doesn't run for the event {event or '(GITHUB_EVENT_NAME is empty)'}",
        hint=f"run it for {', '.join(sorted(known))}; if everyone who can start {event or 'this event'} may deploy, set "
        f"allow-event: {name} in the action, or pass --allow-event {name}",
    )


def runs_trusted_code(github: Github, command: str) -> bool:
    """Whether the code that `command` (plan or apply) runs for is of someone who may write to the repository, or has no secrets."""
    return not github.in_actions or github.event_name in _known_events(command)


def _known_events(command: str) -> frozenset[str]:
    return PLAN_EVENTS if command == "plan" else APPLY_EVENTS
