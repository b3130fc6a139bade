"""Emails a day: of a project, of its account, and to one address."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from psycopg.rows import DictRow

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection
from mosaic_deploy.platform.services import Platform

ACCOUNT_PROJECTS = 5
"""An account sends as many emails as this number of its projects may; more projects don't make it more."""
_DAY = timedelta(days=1)


def address_limit(limit: int) -> int:
    """Of a project's emails: half to one address, so that nobody uses up the day by asking for links to one."""
    return max(1, limit // 2)


async def count_email(platform: Platform, connection: Connection, project: DictRow, email: str) -> int:
    """Counts one email and returns the count's ID. Raises Fault 429 if a daily limit is reached.

    Locks the account's row, so two requests can't both take the last one. The embedded platform, whose emails stay on the
    machine, limits only the project's, as the hosted one does.
    """
    tier = project["tier"]
    limit = platform.limits.emails(tier)
    parameters = {
        "project": project["id"], "account": project["account_id"], "day": _DAY, "recipient": email.lower(),
    }  # fmt: skip
    await control_database.fetch_rows(
        connection, "SELECT 1 FROM account WHERE id = %(account)s FOR NO KEY UPDATE", parameters
    )
    of_project = "project_id = %(project)s"
    of_account = "project_id IN (SELECT id FROM project WHERE account_id = %(account)s)"
    checks = [(of_project, limit, f"the {tier} tier sends {_emails(limit)} a day")]
    if not platform.local:
        to_one, of_all = address_limit(limit), ACCOUNT_PROJECTS * limit
        checks += [
            (
                f"{of_project} AND recipient = %(recipient)s",
                to_one,
                f"one address gets {_emails(to_one)} a day",
            ),
            (of_account, of_all, f"an account of the {tier} tier sends {_emails(of_all)} a day"),
        ]
    for condition, most, words in checks:
        query = (
            f"SELECT sent_at FROM mail_count WHERE {condition} AND sent_at > now() - %(day)s"
            " ORDER BY sent_at DESC OFFSET %(before)s LIMIT 1"
        )
        sent = await control_database.fetch_rows(connection, query, {**parameters, "before": most - 1})
        if sent:
            raise _limit_fault(sent[0]["sent_at"] + _DAY, words)
    counted = await control_database.fetch_rows(
        connection,
        "WITH old AS (DELETE FROM mail_count WHERE project_id = %(project)s AND sent_at <= now() - %(day)s)"
        " INSERT INTO mail_count (project_id, recipient) VALUES (%(project)s, %(recipient)s) RETURNING id",
        parameters,
    )
    number: int = counted[0]["id"]
    return number


def _emails(number: int) -> str:
    return f"{number} email{'' if number == 1 else 's'}"


def _limit_fault(next_at: datetime, words: str) -> Fault:
    seconds = max(1, math.ceil((next_at - datetime.now(UTC)).total_seconds()))
    when = next_at.astimezone(UTC).isoformat(timespec="seconds")
    return Fault(
        429,
        "email_limit_reached",
        f"{words}; you can send the next one at {when}",
        details={"next_at": when},
        headers={"Retry-After": str(seconds)},
    )
