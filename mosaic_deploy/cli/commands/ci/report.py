"""Reports a plan, an apply or an error to GitHub, for `ci plan` and `ci apply`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli.commands.ci.comment import (
    MAX_COMMENT_LENGTH,
    CommentRefused,
    PullRequest,
    marker,
    update_comment,
)
from mosaic_deploy.cli.commands.ci.github import Github
from mosaic_deploy.cli.visible_text import visible_text
from mosaic_deploy.errors import KeyInvalid, Location, MosaicError, Unauthorized
from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.version import __version__

if TYPE_CHECKING:
    from mosaic_deploy.model.event import ApplyDone, ApplyFailed
    from mosaic_deploy.model.plan import Plan

_LEVELS = {
    HazardSeverity.DESTRUCTIVE: "error",
    HazardSeverity.SECURITY: "error",
    HazardSeverity.ADVICE: "notice",
}
_MAX_SUMMARY_LENGTH = 900_000
"""Characters; GitHub's limit for a job summary is 1 MiB."""
_MAX_ANNOTATIONS = 10
"""Per level; GitHub shows no more per step."""
_OUTPUTS = ("changes", "to_add", "to_change", "to_destroy", "plan_path", "url", "deploy_id")
_ROTATED_KEY_HINT = (
    "the API key was rotated or is wrong: copy the current one from your dashboard to the repository secret MOSAIC_API_KEY "
    "(Settings → Secrets and variables → Actions) and run the job again"
)


@dataclass(frozen=True, slots=True)
class Report:
    """`root` is the project folder, `label` selects the comment."""

    github: Github
    root: Path
    label: str = ""

    def planned(self, plan: Plan, plan_path: str | None, *, needs_apply: bool) -> None:
        """Sets outputs, annotations, job summary and the pull request's comment.

        `needs_apply`: an apply would change something or run checks.
        """
        from mosaic_deploy.cli.render.markdown import plan_markdown

        counts = plan.counts
        self.github.output(
            {
                "changes": needs_apply,
                "to_add": counts.add,
                "to_change": counts.change,
                "to_destroy": counts.destroy,
                "plan_path": plan_path,
                "url": plan.project.url,
            }
        )
        self._annotate_plan(plan)
        footer = self._footer()
        self.github.summarize(plan_markdown(plan, footer, _MAX_SUMMARY_LENGTH))
        empty = plan.empty and not plan.findings
        self._comment(
            None if empty else plan_markdown(plan, footer, MAX_COMMENT_LENGTH - len(marker(self.label)) - 1)
        )

    def applied(self, plan: Plan, last: ApplyDone | ApplyFailed, deploy_id: str) -> None:
        """Sets outputs and job summary; a failure is annotated too."""
        from mosaic_deploy.cli.render.markdown import applied_markdown

        counts, project = plan.counts, getattr(last, "project", plan.project)
        self.github.output(
            {
                "changes": not plan.empty,
                "to_add": counts.add,
                "to_change": counts.change,
                "to_destroy": counts.destroy,
                "url": project.url,
                "deploy_id": deploy_id,
            }
        )
        self.github.summarize(applied_markdown(plan, last, self._footer(), _MAX_SUMMARY_LENGTH))
        error = getattr(last, "error", None)
        if isinstance(error, MosaicError):
            self._annotate_error(error)

    def failed(self, error: MosaicError, rest: Plan | None = None) -> None:
        """Reports an error without a plan, or with the `rest` of the plan that it blocks."""
        from mosaic_deploy.cli.render.markdown import failed_markdown

        if isinstance(error, (Unauthorized, KeyInvalid)):
            error.hint = _ROTATED_KEY_HINT
        self._output_empty()
        self._annotate_error(error)
        self.github.summarize(failed_markdown(error, self._footer(), _MAX_SUMMARY_LENGTH, rest))
        longest = MAX_COMMENT_LENGTH - len(marker(self.label)) - 1
        self._comment(failed_markdown(error, self._footer(), longest, rest))

    def without_key(self) -> None:
        """Reports a run that GitHub gives no secrets, so the project was only validated."""
        message = (
            "Validated only, without a plan: this run has no API key, because GitHub gives no secrets to pull requests "
            "from forks and Dependabot."
        )
        self.github.annotate("notice", message, None, "mosaic-deploy")
        self._output_empty()
        self.github.summarize(message)

    def _output_empty(self) -> None:
        """Sets all outputs to empty, not `false`: whether anything changes isn't known."""
        self.github.output(dict.fromkeys(_OUTPUTS))

    def _annotate_plan(self, plan: Plan) -> None:
        """Constraints that would fail on live rows, hazards, and what the policy refuses."""
        from mosaic_deploy.cli.render.text.row_checks import row_check_failure

        checks = plan.rehearsal.row_checks if plan.rehearsal else ()
        failing = [check for check in checks if check.fails][:_MAX_ANNOTATIONS]
        for check in failing:
            self._annotate("warning", row_check_failure(check), check.location, "rows_violate")
        counts = {"warning": len(failing)}
        for hazard in plan.findings:
            level = _LEVELS.get(hazard.severity, "warning")
            counts[level] = counts.get(level, 0) + 1
            if not hazard.suppressed and counts[level] <= _MAX_ANNOTATIONS:
                self._annotate(level, hazard.message, hazard.location, hazard.code)
        for problem in plan.denials:
            self._annotate("error", problem.message, problem.location, "policy")

    def _annotate_error(self, error: MosaicError) -> None:
        hint = f"\n{error.hint}" if error.hint else ""
        if error.problems:
            for problem in error.problems[:_MAX_ANNOTATIONS]:
                self._annotate("error", problem.summary, problem.location, error.code)
        else:
            self._annotate("error", f"{error.message}{hint}", error.location, error.code)

    def _annotate(self, level: str, message: str, location: Location | None, title: str) -> None:
        place = self.github.relative(location, self.root) if location else None
        self.github.annotate(level, message, place, title)

    def _comment(self, body: str | None) -> None:
        """Writes the comment. If that fails, it is logged and the job continues."""
        pull = self._pull_request()
        if pull is None:
            return
        try:
            update_comment(pull, self.label, None if body is None else visible_text(body))
        except CommentRefused as refused:
            self.github.annotate("warning", f"can't write the comment: {refused}", None, "mosaic-deploy")
            click.echo(f"can't write the comment: {refused}", err=True)

    def _pull_request(self) -> PullRequest | None:
        environ = self.github.environ
        number = self.github.pull_request
        names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN")
        api, repository, token = (environ.get(name, "") for name in names)
        if not (self.github.in_actions and number and api and repository and token):
            return None
        return PullRequest(api, repository, number, token)

    def _footer(self) -> str:
        return " · ".join(self._footnotes())

    def _footnotes(self) -> Iterator[str]:
        if commit := self.github.commit:
            yield f"commit {commit[:12]}"
        if url := self.github.run_url:
            yield f"run {url}"
        yield f"mosaic-deploy {__version__}"
