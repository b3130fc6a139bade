"""Runs the SQL tab's queries: read-only, or measured and, if they change more than they say, only after agreement."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import TransactionStatus

from mosaic_deploy.platform.dashboard.queries.effects import Effects, measure, read_before
from mosaic_deploy.platform.dashboard.queries.policy import Policy, read_policy
from mosaic_deploy.platform.dashboard.queries.results import SHOWN_ROWS, ResultSet, read_results
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres.connections import Session
from mosaic_deploy.platform.sql import execute, row_stream
from mosaic_deploy.platform.sql.modes import SqlModes
from mosaic_deploy.platform.sql.notices import Notice, Notices, collected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CALL_SECONDS = 120
# First words of statements that end the transaction in which the SQL is measured.
_TRANSACTION_WORDS = frozenset(
    {"ABORT", "BEGIN", "COMMIT", "END", "PREPARE", "RELEASE", "ROLLBACK", "SAVEPOINT", "START"}
)
_WITH_TAGS = frozenset({"DELETE", "INSERT", "MERGE", "UPDATE"})
_DENIED_HINT = "the policy is in the manifest, under `policy`; a deploy records it"
_CANT_RUN_IN_TRANSACTION = "25001"


@dataclass(frozen=True, slots=True)
class QueryError:
    """`position` counts characters of the query from 1; 0 if unknown."""

    message: str
    position: int = 0
    detail: str = ""
    hint: str = ""
    context: str = ""
    sqlstate: str = ""


@dataclass
class Outcome:
    """What a query returned and did. With `undone` nothing has changed yet: `effects` and `unmeasured` say why to ask."""

    results: list[ResultSet] = field(default_factory=list)
    effects: Effects = field(default_factory=Effects)
    undone: bool = False
    unmeasured: str = ""
    notices: list[Notice] = field(default_factory=list)
    error: QueryError | None = None
    seconds: float = 0.0
    json_rows: bytes = b""

    def shifted(self, characters: int) -> Outcome:
        """With the error's position moved: the query stood in a longer text."""
        if self.error and self.error.position:
            self.error = replace(self.error, position=max(0, self.error.position + characters))
        return self


async def run_read_only(session: Session, query: str, *, max_rows: int = SHOWN_ROWS) -> Outcome:
    """In a transaction that can't write, and that the query can't end."""
    return await run_undone(session, query, may_write=False, max_rows=max_rows)


async def run_measured(session: Session, query: str, *, agreed: str) -> Outcome:
    """Applied if it changes no more than it says, or no more than `agreed`, a text of `agreement`; otherwise undone."""
    outcome = Outcome()
    if word := transaction_word(query):
        outcome.unmeasured = f"it has {word}, so what it does can't be measured before it is done"
    elif agreed == UNMEASURED:
        outcome.unmeasured = (
            "it can't run in a transaction, so what it does can't be measured before it is done"
        )
    if outcome.unmeasured:
        return await _run_unmeasured(session, query, outcome, agreed)
    async with _collecting(session, outcome):
        await session.execute("SET standard_conforming_strings = on")
        await session.execute("BEGIN")
        policy = await read_policy(session)
        before = await read_before(session)
        outcome.results = await read_results(session, query, SHOWN_ROWS)
        _add_tags(outcome.results, query)
        # Deferred constraints and triggers belong to what it does.
        await session.execute("SET CONSTRAINTS ALL IMMEDIATE")
        outcome.effects = await measure(session, before)
        asks = outcome.effects.to_confirm(outcome.results)
        outcome.undone = asks and agreed != agreement(outcome.effects)
        # Protected tables also from the updates that a query says.
        denial = (policy if asks else replace(policy, destructive="confirm")).denial(
            outcome.effects.destroyed
        )
        if denial:
            outcome.error = QueryError(
                f"the project's policy doesn't allow this: {denial}", hint=_DENIED_HINT
            )
        await session.execute("ROLLBACK" if outcome.undone or denial else "COMMIT")
    if outcome.error and outcome.error.sqlstate == _CANT_RUN_IN_TRANSACTION:
        outcome.unmeasured, outcome.undone = outcome.error.message, True
        outcome.error = None
    return outcome


async def run_undone(session: Session, query: str, *, may_write: bool, max_rows: int = SHOWN_ROWS) -> Outcome:
    """Runs it and undoes what it did. The query can't end its transaction, nor make it writable."""
    outcome = Outcome()
    if word := transaction_word(query):
        outcome.error = QueryError(f"{word} isn't possible here: the query runs in one transaction")
        return outcome
    async with _collecting(session, outcome):
        await session.execute("SET standard_conforming_strings = on")
        await session.execute("BEGIN" if may_write else "BEGIN READ ONLY")
        # From now on the transaction can't be made writable.
        await session.execute("SELECT 1")
        outcome.results = await read_results(session, query, max_rows)
        _add_tags(outcome.results, query)
        await session.execute("ROLLBACK")
    return outcome


async def run_for_json(session: Session, query: str) -> Outcome:
    """Read-only; `json_rows` is an array of the last result's rows with typed values, as the API returns them."""
    outcome = Outcome()
    if word := transaction_word(query):
        outcome.error = QueryError(f"{word} isn't possible here: the query runs in one transaction")
        return outcome
    async with _collecting(session, outcome):
        await session.execute("SET standard_conforming_strings = on")
        await session.execute("BEGIN READ ONLY")
        await session.execute("SELECT 1")
        found = await execute.run(session, query.encode(), None, SqlModes())
        outcome.json_rows = b"[" + b",".join(found.rows.chunks) + b"]"
    return outcome


UNMEASURED = "unmeasured"


def agreement(effects: Effects) -> str:
    """What a person agrees to: exactly these effects."""
    return "\n".join(effects.lines())


async def _run_unmeasured(session: Session, query: str, outcome: Outcome, agreed: str) -> Outcome:
    policy = Policy()
    async with _collecting(session, outcome):
        policy = await read_policy(session)
    if outcome.error:
        return outcome
    if policy.destructive == "deny" or policy.protected_tables:
        outcome.error = QueryError(
            f"the project's policy doesn't allow this: {outcome.unmeasured}", hint=_DENIED_HINT
        )
        return outcome
    if agreed != UNMEASURED:
        outcome.undone = True
        return outcome
    async with _collecting(session, outcome):
        outcome.results = await read_results(session, query, SHOWN_ROWS)
    if session.info.transaction_status == TransactionStatus.INTRANS:
        outcome.error = QueryError("the query began a transaction and didn't end it, so it was rolled back")
    return outcome


@asynccontextmanager
async def _collecting(session: Session, outcome: Outcome) -> AsyncIterator[None]:
    """Errors of the query become the outcome's. The pool resets the session afterwards."""
    notices = Notices()
    started = time.perf_counter()
    try:
        with collected(session, notices):
            async with asyncio.timeout(CALL_SECONDS):
                yield
    except psycopg.Error as error:
        outcome.error = _query_error(error)
    except TimeoutError:
        outcome.error = QueryError(f"it took longer than {CALL_SECONDS} seconds, so it was cancelled")
    except row_stream.ResultTooLarge:
        outcome.error = QueryError("its result is too large to show; add a LIMIT")
        with suppress(psycopg.Error):
            await session.close()
    except Fault as fault:
        outcome.error = QueryError(fault.message, int(fault.details.get("position") or 0))
    outcome.notices = notices.kept
    outcome.seconds = time.perf_counter() - started


def _add_tags(results: list[ResultSet], query: str) -> None:
    """To results with rows: libpq drops their tags."""
    words = [*_first_words(query)]
    aligned = len(words) == len(results)
    for number, result in enumerate(results):
        if not result.tag:
            word = words[number] if aligned else ""
            result.tag = f"{word if word in _WITH_TAGS else 'SELECT'} {result.count}"


def _query_error(error: psycopg.Error) -> QueryError:
    found = error.diag
    return QueryError(
        found.message_primary or str(error),
        int(found.statement_position or 0),
        found.message_detail or "",
        found.message_hint or "",
        found.context or "",
        found.sqlstate or "",
    )


def transaction_word(query: str) -> str:
    """The first statement that begins or ends a transaction, such as `COMMIT`, as far as tokens show; "" if there is none.

    The `END` of a function's body written `BEGIN ATOMIC` counts too.
    """
    return next((word for word in _first_words(query) if word in _TRANSACTION_WORDS), "")


def _first_words(query: str) -> Iterator[str]:
    # Imported with the first query: most pages need it not.
    import sqlglot
    from sqlglot.errors import TokenError

    try:
        # PostgreSQL ends an operator where a comment begins, which this tokenizer doesn't.
        apart = query.replace("--", " --").replace("/*", " /*")
        tokens = sqlglot.tokenize(apart, dialect="postgres")
    except TokenError:
        # Something that this tokenizer doesn't know may hide one.
        tokens = []
        yield from (word for word in re.findall(r"\w+", query.upper()) if word in _TRANSACTION_WORDS)
    at_start = True
    for token in tokens:
        if at_start and token.token_type != sqlglot.TokenType.SEMICOLON:
            yield token.text.upper()
        at_start = token.token_type == sqlglot.TokenType.SEMICOLON
