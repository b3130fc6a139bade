"""`standard_conforming_strings` stays on: with it off, PostgreSQL reads other strings, and other statements, than were checked.

A statement that turns it off is refused before anything runs (`sql/text_settings.py`). It can also be changed under a computed name, in
pg_settings, or as the default of the database; so SQL that we send checks it while it runs.
"""

from __future__ import annotations

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.session.assignments import Assignment, assignments, node_assignments
from mosaic_deploy.sql.tree import walk

_SETTING = "standard_conforming_strings"
_WRITE_ESCAPES = "write E'…' where a backslash is an escape"
OTHER_STRINGS = (
    f"changes {_SETTING}, so PostgreSQL would read the strings after it otherwise than they are checked here; leave it on, "
    f"and {_WRITE_ESCAPES}"
)
TURN_ON = f"pg_catalog.format('ALTER ROLE %I IN DATABASE %I SET {_SETTING} = on', session_user, pg_catalog.current_database())"
"""An SQL expression: the statement that turns it on, whatever the role, the database or the server have."""
STRINGS_QUERY = f"SELECT pg_catalog.current_setting('{_SETTING}') AS strings, {TURN_ON} AS turn_on"
"""Returns whether it is on in a new session, and TURN_ON."""
STRINGS_ARE_OFF = f"pg_catalog.current_setting('{_SETTING}') OPERATOR(pg_catalog.<>) 'on'"
"""A condition in SQL."""
OFF_IN_DATABASE = f"{_SETTING} is off in this database, so PostgreSQL would read its strings otherwise than they were checked"
REFUSE_OFF = (
    f"IF {STRINGS_ARE_OFF} THEN RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', "
    f"MESSAGE = 'this leaves {_SETTING} off, so PostgreSQL would read the strings after it otherwise than they were checked', "
    f"HINT = 'leave it on, and write E''…'' where a backslash is an escape'; END IF;"
)
"""PL/pgSQL for after a statement."""


def turn_on_hint(statement: str) -> str:
    """`statement` is TURN_ON's value."""
    return (
        f"run {statement} with `mosaic-deploy sql`, and {_WRITE_ESCAPES}; open sessions, which the platform may use again, keep "
        "the old value for a while"
    )


_ON = ("on", "true", "yes", "1")
_SETTERS = frozenset(
    {"VariableSetStmt", "AlterRoleSetStmt", "AlterDatabaseSetStmt", "CreateFunctionStmt", "AlterFunctionStmt"}
)


def sets_other_strings(statement: Statement) -> bool:
    """Whether the statement itself turns `standard_conforming_strings` off; not what a body or a called function does."""
    if statement.kind in _SETTERS:
        inner = (node for kind, node in walk({statement.kind: statement.node}) if kind in _SET_NODES)
        return any(_turns_off(one) for node in inner for one in node_assignments("VariableSetStmt", node))
    return any(_turns_off(one) for one in assignments(statement))


def names_strings(text: str) -> bool:
    return _SETTING in text.lower()


_SET_NODES = ("VariableSetStmt", "setstmt")


def node_turns_off(kind: str, node: Tree) -> bool:
    """The same for a parse tree in a body: a SET of any kind, or a call of set_config (kind `FuncCall`)."""
    if kind == "FuncCall":
        call = {"targetList": [{"ResTarget": {"val": {"FuncCall": node}}}]}
        return any(_turns_off(one) for one in node_assignments("SelectStmt", call))
    set_node = node.get("setstmt", node)
    return any(_turns_off(one) for one in node_assignments("VariableSetStmt", set_node))


def _turns_off(one: Assignment) -> bool:
    return one.name == _SETTING and (one.values or ("off",))[0].lower() not in _ON
