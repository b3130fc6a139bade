"""The error for files with possible secrets, and the checks that need only a file's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.errors import Location, Problem, SecretFound
from mosaic_deploy.source.files.walk import WalkedFile
from mosaic_deploy.source.secrets.kinds import SECRET_KINDS, SecretFinding

_KEY_STORES = (".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk")


def secret_rule_of_name(name: str) -> str | None:
    """The rule that a file name violates, if any: `.env`, `.env.production`, `local.env`, but not `.env.example`; `server.p12`."""
    last = name.rpartition("/")[2].lower()
    if last.endswith(_KEY_STORES):
        return "key_store"
    if ".env" not in last or last.endswith((".example", ".sample", ".template", ".dist")):
        return None
    return (
        "env_file"
        if last in {".env", ".envrc"} or last.startswith(".env.") or last.endswith(".env")
        else None
    )


_MAX_SHOWN = 100


def secret_problems(file: WalkedFile, findings: Sequence[SecretFinding]) -> Iterator[Problem]:
    """Problems for possible secrets in a file, by its name (or that of a link's target) and its content."""
    if rule := secret_rule_of_name(file.relative_path) or secret_rule_of_name(file.real_path):
        yield Problem(f"looks like {SECRET_KINDS[rule]}", Location(file.relative_path))
    for finding in findings:
        yield Problem(finding.message, Location(file.relative_path, finding.line, finding.column))


def refuse_secrets(static: Sequence[Problem], storage: Sequence[Problem]) -> None:
    """Raises SecretFound if there are findings in either section."""
    problems = [*static, *storage]
    if not problems:
        return
    sections = [name for name, found in (("static", static), ("storage", storage)) if found]
    more = (
        f" ({len(problems)} places; the first {_MAX_SHOWN} are listed)" if len(problems) > _MAX_SHOWN else ""
    )
    raise SecretFound(
        f"some files appear to contain secrets{more}; nothing was sent",
        problems=problems[:_MAX_SHOWN],
        hint="remove them, and replace any that was ever public; if one isn't a secret, or is public on purpose, "
        f"add its file to {' or '.join(f'{name}.allow_secrets' for name in sections)}",
    )
