"""The operator's commands that only need the database: accounts, their keys, and passwords of projects."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

import psycopg

from mosaic_deploy.platform.accounts import accounts, lifecycle
from mosaic_deploy.platform.cluster.settings import ClusterSettings, open_control_database
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.postgres.server import Server
from mosaic_deploy.platform.storage import store_claim


async def run(options: argparse.Namespace, database_url: str) -> dict[str, Any]:
    """The document to print. Raises ProcessFault."""
    settings = ClusterSettings(database_url)
    async with open_control_database(settings) as pool:
        try:
            return await _run(options, pool, settings.server())
        except LookupError as error:
            if options.command == "rotate-password":
                raise ProcessFault(
                    "project_not_found", f"there is no running project {options.project!r}"
                ) from error
            raise ProcessFault(
                "account_not_found",
                f"account {options.account} doesn't exist",
                "list the accounts with `mosaic-deploy platform account list`",
            ) from error
        except psycopg.Error as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ProcessFault(
                "database_unusable", f"the database server refused a step: {reason}", "run the command again"
            ) from error


async def _run(options: argparse.Namespace, pool: Pool, server: Server) -> dict[str, Any]:
    if options.command == "pause-deletions":
        until = await store_claim.pause_deletions(pool, options.hours)
        return {"status": "paused" if options.hours else "resumed", "until": until}
    if options.command == "rotate-password":
        return await lifecycle.rotate_password(pool, server, options.project)
    change_access = {
        "account-suspend": lifecycle.suspend,
        "account-resume": lifecycle.resume,
        "account-delete": lifecycle.delete,
    }
    if change := change_access.get(options.command):
        return await change(pool, server, options.account)
    return await _manage_account(options, pool)


async def _manage_account(options: argparse.Namespace, pool: Pool) -> dict[str, Any]:
    if options.command == "account-create":
        return await accounts.create_account(pool, options.name, options.tier)
    if options.command == "account-tier":
        return await accounts.change_tier(pool, options.account, options.tier)
    if options.command == "account-list":
        return {"accounts": await accounts.list_accounts(pool)}
    grace = timedelta(0) if options.now else accounts.KEY_GRACE_PERIOD
    key = await accounts.rotate_key(pool, options.account, grace=grace)
    return {"account_id": options.account, "api_key": key, "old_key_days": grace.days}
