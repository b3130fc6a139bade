"""A place that looks like a secret, and what is known without looking into a file.

Apart from the rules, whose patterns take longer to load than a plan of unchanged files has to spare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.errors import Location, Problem, SecretFound
from mosaic_deploy.source.files.walk import WalkedFile

RULES_VERSION = 1
"""Counts up with every change to the rules or the bounds: remembered results of older rules don't count."""
MAX_SCANNED_SIZE = 25 * 1024 * 1024
"""Bytes. Larger files are not looked through."""
SECRET_KINDS = {
    "mosaic_key": "a Mosaic API key",
    "database_url": "a database URL with its password",
    "private_key": "a private key",
    "aws_key": "an AWS access key",
    "github_token": "a GitHub token",
    "slack_token": "a Slack token",
    "stripe_key": "a Stripe live key",
    "google_key": "a Google service account's key",
    "ai_key": "an OpenAI or Anthropic API key",
    "env_file": "a .env file, which is where secrets are kept",
}


@dataclass(frozen=True, slots=True)
class SecretFinding:
    """A place in a file that looks like a secret. `line` and `column` count from 1, columns in characters."""

    rule: str
    line: int
    column: int

    @property
    def message(self) -> str:
        return f"looks like {SECRET_KINDS[self.rule]}"


def secret_rule_of_name(name: str) -> str | None:
    """The rule that a file's name alone breaks: `.env`, `.env.production`, `local.env`, but no `.env.example`."""
    last = name.rpartition("/")[2].lower()
    if ".env" not in last or last.endswith((".example", ".sample", ".template", ".dist")):
        return None
    return (
        "env_file"
        if last in {".env", ".envrc"} or last.startswith(".env.") or last.endswith(".env")
        else None
    )


_MAX_SHOWN = 100


def secret_problems(file: WalkedFile, findings: Sequence[SecretFinding]) -> Iterator[Problem]:
    """What is wrong with publishing a file, by its name (also the one that a link leads to) and its content."""
    if rule := secret_rule_of_name(file.relative_path) or secret_rule_of_name(file.real_path):
        yield Problem(f"looks like {SECRET_KINDS[rule]}", Location(file.relative_path))
    for finding in findings:
        yield Problem(finding.message, Location(file.relative_path, finding.line, finding.column))


def refuse_secrets(static: Sequence[Problem], storage: Sequence[Problem]) -> None:
    """Raises SecretFound for the findings of both sections."""
    problems = [*static, *storage]
    if not problems:
        return
    sections = [name for name, found in (("static", static), ("storage", storage)) if found]
    more = f", and {len(problems) - _MAX_SHOWN} more places" if len(problems) > _MAX_SHOWN else ""
    raise SecretFound(
        f"some files look as if they held secrets{more}; nothing was sent",
        problems=problems[:_MAX_SHOWN],
        hint="take them out, and replace any that was ever public. Where one is meant to be public, or is none, "
        f"name its file in {' or '.join(f'{name}.allow_secrets' for name in sections)}",
    )
