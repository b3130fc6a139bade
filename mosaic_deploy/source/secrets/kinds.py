"""The kinds of secrets and a finding of one. Separate from `rules`, which unchanged files don't need."""

from __future__ import annotations

from dataclasses import dataclass

RULES_VERSION = 3
"""Increase it with every change of the rules or limits, to invalidate cached results."""
MAX_SCANNED_SIZE = 25 * 1024 * 1024
"""In bytes. Larger files aren't scanned."""
KNOWN_MAKER = "maker_key:"
"""The beginning of the rule names that come from `known_makers.toml`."""
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
    "jwt": "a JSON web token (JWT)",
    "env_file": "a .env file",
    "key_store": "a file with private keys",
}


@dataclass(frozen=True, slots=True)
class SecretFinding:
    """The location of a possible secret. `line` and `column` count from 1, columns in characters."""

    rule: str
    line: int
    column: int

    @property
    def message(self) -> str:
        if self.rule.startswith(KNOWN_MAKER):
            return f"looks like a secret key or token ({self.rule.removeprefix(KNOWN_MAKER)})"
        return f"looks like {SECRET_KINDS[self.rule]}"
