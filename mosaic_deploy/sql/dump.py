"""A plain pg_dump adapted to a project: its owner, the settings of other versions, what can't be restored.

pg_dump's text names the roles of the database it was made from. A project has one role, which owns everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.sql.ledger_writes import LEDGER_SCHEMA, first_ledger_write
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import literal
from mosaic_deploy.sql.scripts.mistakes import Mistake, ScriptInvalid
from mosaic_deploy.sql.scripts.outside_rows import OutsideRows
from mosaic_deploy.sql.scripts.statements import read_statements
from mosaic_deploy.sql.scripts.substitute import Substitute, substitute
from mosaic_deploy.sql.text_settings import takes_utf8

_HEADER = re.compile(
    r"^(?:-- PostgreSQL database (?:cluster )?dump\b|\\restrict |SELECT pg_catalog\.set_config\('search_path', '', false\);)",
    re.MULTILINE,
)
"""The comment, or what is left without it: both statements are pg_dump's own."""
_HEADER_LENGTH = 4096
_PROJECT_ROLE = re.compile(r"tenant_\w+")
"""The roles of Mosaic's projects."""
_EVERYWHERE = frozenset(
    {
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "client_encoding",
        "standard_conforming_strings",
        "check_function_bodies",
        "client_min_messages",
        "search_path",
        "xmloption",
        "row_security",
        "default_tablespace",
        "default_table_access_method",
    }
)
"""Settings of a dump that every supported version of PostgreSQL knows."""
_PLAIN_KINDS = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt"})


def is_dump(text: str) -> bool:
    """Whether the text begins as pg_dump's do."""
    return _HEADER.search(text, 0, _HEADER_LENGTH) is not None


def read_script(text: str, outside: Mapping[int, OutsideRows] | None = None) -> list[Statement]:
    """The statements to run of a file as psql reads it. Those of a dump are adapted to the project:

    What belongs to the dumped project's role belongs to the executing role, and the tracking tables of the dumped
    project are left out. `outside` are COPY rows that aren't in the text. Raises ScriptInvalid with everything that can't be run: for a dump, once for each option of
    pg_dump that leaves it out. Raises SqlSyntaxError.
    """
    statements, mistakes = read_statements(text, outside or {})
    if is_dump(text):
        statements, obstacles = _adapt_dump(statements)
        mistakes += obstacles
    if mistakes:
        raise ScriptInvalid(sorted(mistakes, key=lambda mistake: mistake.offset))
    return statements


def _adapt_dump(statements: Sequence[Statement]) -> tuple[list[Statement], list[Mistake]]:
    found = _Findings()
    kept = [statement for statement in statements if not _is_of_ledger(statement)]
    roles = {role["rolename"] for one in kept for role in _roles(one)}
    roles |= {_constant(one.node) for one in kept if _sets_user(one)}
    owners = {role for role in roles if _PROJECT_ROLE.fullmatch(role)}
    own = next(iter(owners)) if len(owners) == 1 else None
    adapted = [_adapt(statement, own, found) for statement in kept]
    return [statement for statement in adapted if statement], found.mistakes()


@dataclass
class _Findings:
    """What can't be restored: the offsets of the statements by (what, hint)."""

    offsets: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, statement: Statement, what: str, hint: str) -> None:
        self.offsets.setdefault((what, hint), []).append(statement.offset)

    def mistakes(self) -> list[Mistake]:
        return [
            Mistake(f"the dump has {what}{_count(len(offsets))}", offsets[0], hint)
            for (what, hint), offsets in self.offsets.items()
        ]


def _count(number: int) -> str:
    return "" if number == 1 else f" ({number} statements)"


def _is_of_ledger(statement: Statement) -> bool:
    """Whether a statement of a dump makes or fills the tracking tables."""
    if LEDGER_SCHEMA not in _names(statement):
        return False
    return bool(first_ledger_write([statement], LEDGER_SCHEMA)) or statement.kind == "SelectStmt"


def _names(statement: Statement) -> str:
    """The part of a statement that names what it is about, in lower case; for rows without the rows."""
    if statement.kind == "InsertStmt" and statement.parsed is not None:
        return str(statement.node.get("relation", {}).get("schemaname", ""))
    return statement.text.lower()


def _adapt(statement: Statement, own: str | None, found: _Findings) -> Statement | None:
    if statement.kind in _PLAIN_KINDS or isinstance(statement, Substitute):
        return statement
    if statement.kind == "VariableSetStmt":
        return _adapt_setting(statement, own, found)
    for what, hint in _obstacles(statement):
        found.add(statement, what, hint)
    return _adapt_roles(statement, own, found)


def _adapt_setting(statement: Statement, own: str | None, found: _Findings) -> Statement | None:
    name = str(statement.node.get("name", ""))
    value = _constant(statement.node)
    if _sets_user(statement):
        if value not in ("", own):
            found.add(statement, f"SET SESSION AUTHORIZATION {value}", "dump with pg_dump --no-owner")
        return None
    if name == "client_encoding" and not takes_utf8(value):
        found.add(
            statement,
            f"SET client_encoding = {value}, because the text is sent as UTF-8",
            "dump with pg_dump --encoding=UTF8",
        )
    if name == "default_with_oids":
        if value.lower() in ("true", "on", "1"):
            found.add(
                statement,
                "a table WITH OIDS, which PostgreSQL 12 removed",
                "change the table, and dump it again",
            )
        return None
    if name == "default_tablespace" and value:
        found.add(statement, f"SET default_tablespace = {value}", "dump with pg_dump --no-tablespaces")
    if name in _EVERYWHERE or statement.node.get("kind") != "VAR_SET_VALUE":
        return statement
    # Another version's setting is set if the server has it.
    text = (
        f"SELECT pg_catalog.set_config(name, {literal(value)}, false) FROM pg_catalog.pg_settings "
        f"WHERE name = {literal(name)}"
    )
    return substitute(statement, text)


def _sets_user(statement: Statement) -> bool:
    """Whether it is a SET SESSION AUTHORIZATION; pg_dump can write these instead of OWNER TO."""
    return statement.kind == "VariableSetStmt" and statement.node.get("name") == "session_authorization"


def _constant(node: dict[str, Any]) -> str:
    """The value of a SET with one constant, as text."""
    for item in node.get("args", []):
        constant = item.get("A_Const", {})
        if "sval" in constant:
            return str(constant["sval"].get("sval", ""))
        if "ival" in constant:
            return str(constant["ival"].get("ival", 0))
        if "boolval" in constant:
            return "true" if constant["boolval"].get("boolval") else "false"
    return ""


_NO_OWNER = "dump with pg_dump --no-owner"
_NO_PRIVILEGES = "dump with pg_dump --no-privileges"
_KIND_OBSTACLES = {
    "CreatedbStmt": ("CREATE DATABASE", "dump one database, with pg_dump and without --create"),
    "DropdbStmt": ("DROP DATABASE", "dump one database, with pg_dump and without --create"),
    "AlterDatabaseStmt": ("ALTER DATABASE", "dump with pg_dump, without --create"),
    "AlterDatabaseSetStmt": ("ALTER DATABASE", "dump with pg_dump, without --create"),
    "CreateRoleStmt": ("CREATE ROLE", "dump one database with pg_dump, instead of all with pg_dumpall"),
    "AlterRoleStmt": ("ALTER ROLE", "dump one database with pg_dump, instead of all with pg_dumpall"),
    "AlterRoleSetStmt": ("ALTER ROLE", "dump one database with pg_dump, instead of all with pg_dumpall"),
    "DropRoleStmt": ("DROP ROLE", "dump one database with pg_dump, instead of all with pg_dumpall"),
    "GrantRoleStmt": ("GRANT of a role", "dump one database with pg_dump, instead of all with pg_dumpall"),
    "CreateTableSpaceStmt": ("CREATE TABLESPACE", "dump with pg_dump --no-tablespaces"),
    "SecLabelStmt": ("SECURITY LABEL", "dump with pg_dump --no-security-labels"),
    "CreateSubscriptionStmt": ("CREATE SUBSCRIPTION", "dump with pg_dump --no-subscriptions"),
    "CreateEventTrigStmt": ("CREATE EVENT TRIGGER, which needs a superuser", "remove it from the file"),
}
"""Kinds of statements of a dump that a project's role can't run: (what, hint)."""


def _obstacles(statement: Statement) -> Iterator[tuple[str, str]]:
    if statement.kind in _KIND_OBSTACLES:
        yield _KIND_OBSTACLES[statement.kind]
    if statement.kind == "AlterTableStmt":
        commands = [item.get("AlterTableCmd", {}).get("subtype") for item in statement.node.get("cmds", [])]
        if {"AT_DisableTrigAll", "AT_EnableTrigAll"} & set(commands):
            yield (
                "DISABLE TRIGGER ALL, which needs a superuser",
                "dump the whole database, or without --disable-triggers",
            )


def _adapt_roles(statement: Statement, own: str | None, found: _Findings) -> Statement:
    """The statement with `own` replaced by the executing role; other roles are findings."""
    roles = list(_roles(statement))
    others = [role["rolename"] for role in roles if role["rolename"] != own]
    kinds = {"GrantStmt": "GRANT", "AlterDefaultPrivilegesStmt": "ALTER DEFAULT PRIVILEGES"}
    for name in dict.fromkeys(others):
        if statement.kind in kinds:
            found.add(statement, f"{kinds[statement.kind]} for role {name}", _NO_PRIVILEGES)
        elif statement.kind in ("AlterOwnerStmt", "AlterTableStmt"):
            found.add(statement, f"OWNER TO {name}", _NO_OWNER)
        elif statement.kind == "CreatePolicyStmt":
            found.add(
                statement,
                f"CREATE POLICY for role {name}",
                "remove the role from the file, or dump with --no-policies",
            )
        elif statement.kind not in _KIND_OBSTACLES:
            found.add(statement, f"a statement that names role {name}", _NO_OWNER)
    if others or not roles:
        return statement
    return substitute(statement, _replace_roles(statement, [role["location"] for role in roles]))


_ROLE = re.compile(rb'"(?:[^"]|"")*"|[^\s,;()]+')


def _replace_roles(statement: Statement, locations: Sequence[int]) -> str:
    text = statement.text.encode()
    for location in sorted(locations, reverse=True):
        at = location - (statement.first_byte if statement.parsed is not None else 0)
        role = _ROLE.match(text, at)
        assert role
        text = text[:at] + b"CURRENT_USER" + text[role.end() :]
    return text.decode()


def _roles(statement: Statement) -> Iterator[dict[str, Any]]:
    """The RoleSpec nodes that name a role; predefined roles (`pg_…`) exist everywhere."""
    if statement.kind in _PLAIN_KINDS or isinstance(statement, Substitute):
        return
    if statement.kind == "SelectStmt":
        return
    waiting: list[Any] = [statement.node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            if node.get("roletype") == "ROLESPEC_CSTRING" and not str(node["rolename"]).startswith("pg_"):
                yield node
            waiting.extend(node.values())
