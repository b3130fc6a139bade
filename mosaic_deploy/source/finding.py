"""A place that looks like a secret, and what is known without looking into a file.

Apart from the rules, whose patterns take longer to load than a plan of unchanged files has to spare.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1
"""Counts up with every change to the rules or the bounds: remembered results of older rules don't count."""
LARGEST_SCANNED = 25 * 1024 * 1024
"""Bytes. Larger files are not looked through."""
KINDS = {
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
class Finding:
    """A place in a file that looks like a secret. `line` and `column` count from 1, columns in characters."""

    rule: str
    line: int
    column: int

    @property
    def message(self) -> str:
        return f"looks like {KINDS[self.rule]}"


def secret_name(name: str) -> str | None:
    """The rule that a file's name alone breaks: `.env`, `.env.production`, `local.env`, but no `.env.example`."""
    last = name.rpartition("/")[2].lower()
    if ".env" not in last or last.endswith((".example", ".sample", ".template", ".dist")):
        return None
    return (
        "env_file"
        if last in {".env", ".envrc"} or last.startswith(".env.") or last.endswith(".env")
        else None
    )
