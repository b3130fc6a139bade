"""PL/pgSQL that compares what a step touches with its rehearsal, in the step's transaction and before its first statement.

First the tables are locked, in the mode that the step needs anyway, but no stronger than SHARE UPDATE EXCLUSIVE: that keeps
others from changing a table until the step has its own locks, and lets them read and write. Then the definitions are
compared. Objects with a name that the step may look up count as touched, too, and must not exist if the rehearsal didn't have
them: unqualified names then mean the same as there, and what was missing still is. What an earlier step of the run touched is compared with how that step left it, because with live rows a step can do
something else than in the rehearsal; each step records that in its own transaction (LEFT).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.guard.rehearsed import (
    DIGEST_LENGTH,
    OBSERVED,
    STRONG_MODES,
    SchemaReader,
)
from mosaic_deploy.sql.guard.schema_result import compare_result_sql, note_schema_sql
from mosaic_deploy.sql.marker import RESEND, SPLIT_MARKER, raise_with_facts_sql
from mosaic_deploy.sql.quote import json_literal, literal

SCHEMA_CHANGED = "schema_changed"
LEFT = "schema.left"
"""The row of the settings table with what the steps of a run left, until its SQL is done."""
_VARIABLES = (
    "rehearsed pg_catalog.jsonb; names_wanted pg_catalog.jsonb; schema_now pg_catalog.jsonb; schema_left pg_catalog.jsonb; "
    "schema_changes pg_catalog.jsonb; lock_text pg_catalog.text; words pg_catalog.text[]; search_schemas pg_catalog.name[]; "
    "waited pg_catalog.bool;\n"
)
_COLUMNS = ", ".join(
    f"{name} pg_catalog.{kind}"
    for name, kind in (
        *dict.fromkeys(("kind", "key", "schema", "name", "digest", "lock"), "text").items(),
        ("again", "bool"),
    )
)


def _recordset(variable: str) -> str:
    return f"pg_catalog.jsonb_to_recordset({variable}) AS r ({_COLUMNS})"


_QUALIFIED = (
    "pg_catalog.concat(CASE n.nspname WHEN 'public' THEN '' ELSE pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.||) '.' END, "
    "pg_catalog.quote_ident(c.relname))"
)
_ID = "r.kind || ' ' || r.key"
_LOCK_TEXTS = f"""SELECT pg_catalog.format('LOCK TABLE ONLY %I.%I IN %s MODE', r.schema, r.name, r.lock)
        FROM {_recordset("rehearsed")} JOIN pg_catalog.pg_namespace n ON n.nspname = r.schema
        JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = r.name AND c.relkind IN ('r', 'p')
        WHERE r.lock <> '' AND pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'
          || CASE r.lock WHEN 'ROW EXCLUSIVE' THEN ', INSERT' WHEN 'ACCESS SHARE' THEN ', INSERT, SELECT' ELSE '' END)
        ORDER BY r.key COLLATE "C\""""
"""In one order, so that two runs can't wait for each other."""

_LOCK = """IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'read committed' THEN
          EXECUTE lock_text;
        ELSE
          BEGIN
            EXECUTE pg_catalog.concat(lock_text, ' NOWAIT');
          EXCEPTION WHEN lock_not_available THEN
            EXECUTE lock_text;
            waited := true;
          END;
        END IF;"""
"""Above READ COMMITTED, a transaction still sees what was there before it waited. So it gives up, and the step is sent again."""


def _set(settings: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f"      PERFORM pg_catalog.set_config('{name}', {literal(value)}, true);\n"
        for name, value in settings
    )


_LINE = r"pg_catalog.concat_ws(E'\x1f', d.kind, d.name, d.parent, d.digest)"
_LINES = rf"""pg_catalog.string_agg({_LINE}, E'\n' ORDER BY {_LINE} COLLATE "C")"""


def _digest(text: str) -> str:
    return f"pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({text}, 'UTF8')), 'hex'), {DIGEST_LENGTH})"


def _read_now(reader: SchemaReader) -> str:
    """PL/pgSQL: `schema_now` has, for each id of `names_wanted` that exists, its digest and the digests of its objects."""
    read = "".join(
        f"""      IF names_wanted @> '[{{"kind": "{kind}"}}]' THEN
        SELECT schema_now || COALESCE(pg_catalog.jsonb_object_agg(k.key, pg_catalog.jsonb_build_array(k.digest, k.objects)), '{{}}')
        INTO schema_now FROM (SELECT d.key, {_digest(_LINES)} AS digest,
            pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(d.kind, d.name, d.parent, d.digest)) AS objects
          FROM (SELECT p.key, p.kind::pg_catalog.text AS kind, p.name::pg_catalog.text AS name, p.parent::pg_catalog.text AS parent,
              {_digest("p.definition::pg_catalog.text")} AS digest
            FROM ({query.replace("{names}", "names_wanted")}) p{_without_unmanaged(reader, kind)}) d GROUP BY d.key) k;
      END IF;
"""
        for kind, query in reader.queries.items()
    )
    return f"      schema_now := '{{}}';\n{read}"


@dataclass(frozen=True, slots=True)
class SchemaCheck:
    """PL/pgSQL around a step; all empty if it touches nothing.

    `before` raises `schema_changed` if what the step touches isn't as rehearsed, and `resend` if it can't see that. `after`, before the step's record, notes how it
    leaves that. `result`, once the step was measured, raises `rehearsal_differs` if the step leaves another schema than in the
    rehearsal. All require `declare`.
    """

    declare: str = ""
    before: str = ""
    after: str = ""
    result: str = ""


def schema_check(
    reader: SchemaReader,
    rehearsed: str,
    deploy_id: str,
    which: str,
    *,
    handler: str = "",
    lock_timeout: str | None = None,
) -> SchemaCheck:
    """`rehearsed` is an SQL expression of the step's TouchedNames as jsonb, or null; `which` are arguments for json_build_object: version and
    step; `handler` the end of a block that reports other errors.
    """
    if not reader.queries:
        return SchemaCheck()
    before = _before(reader, rehearsed, deploy_id, which, handler, lock_timeout)
    after = _after(reader, rehearsed, deploy_id)
    return SchemaCheck(f"  {_VARIABLES}", before, after, _result(reader, rehearsed, deploy_id, which))


def _before(
    reader: SchemaReader, rehearsed: str, deploy_id: str, which: str, handler: str, lock_timeout: str | None
) -> str:
    settings = [*([("lock_timeout", lock_timeout)] if lock_timeout else []), *reader.settings]
    facts = (
        f"pg_catalog.json_build_object('code', '{SCHEMA_CHANGED}', {which}, 'schema', schema_changes)::text"
    )
    resend = f"pg_catalog.json_build_object('code', '{RESEND}', {which})::text"
    return f"""{_wanted(rehearsed)}    schema_changes := '{{}}'; waited := false;
    IF rehearsed IS NOT NULL THEN
    BEGIN
{_set(settings)}      FOR lock_text IN {_LOCK_TEXTS} LOOP
        {_LOCK}
      END LOOP;
      SELECT s.value INTO schema_left FROM mosaic_deploy.settings s WHERE s.name = '{LEFT}' AND s.deploy_id = {literal(deploy_id)};
{_mentioned(reader, "      ")}      rehearsed := rehearsed OPERATOR(pg_catalog.||) names_wanted;
      names_wanted := rehearsed;
{_read_now(reader)}      SELECT COALESCE(pg_catalog.jsonb_object_agg({_ID}, pg_catalog.jsonb_build_object(
        'now', schema_now -> ({_ID}) -> 1, 'left', schema_left -> ({_ID}) -> 1)), '{{}}')
      INTO schema_changes FROM {_recordset("rehearsed")}
      WHERE COALESCE(schema_now -> ({_ID}) ->> 0, '') <> COALESCE(schema_left -> ({_ID}) ->> 0, r.digest, '');
{_note(reader, rehearsed, deploy_id)}    {handler}    END;
    IF waited THEN {raise_with_facts_sql(resend)} END IF;
    IF schema_changes OPERATOR(pg_catalog.<>) '{{}}' THEN {raise_with_facts_sql(facts)} END IF;
    END IF;
"""


def _note(reader: SchemaReader, rehearsed: str, deploy_id: str) -> str:
    if not reader.every:
        return ""
    notes = f"COALESCE((({rehearsed}) -> 'notes')::pg_catalog.bool, false)"
    return f"      IF {notes} AND schema_changes = '{{}}' THEN\n{note_schema_sql(reader, deploy_id)}      END IF;\n"


def _result(reader: SchemaReader, rehearsed: str, deploy_id: str, which: str) -> str:
    if not reader.every:
        return ""
    wanted = f"({rehearsed}) OPERATOR(pg_catalog.->) 'leaves'"
    return compare_result_sql(reader, wanted, deploy_id, which, _set(reader.settings))


def _wanted(rehearsed: str) -> str:
    """PL/pgSQL: `rehearsed` has the step's names, null without any step to compare, and `words` what it may look up."""
    return f"""    rehearsed := ({rehearsed}) OPERATOR(pg_catalog.->) 'names'; search_schemas := pg_catalog.current_schemas(true);
    words := ARRAY(SELECT pg_catalog.jsonb_array_elements_text(({rehearsed}) OPERATOR(pg_catalog.->) 'words'));
"""


def _mentioned(reader: SchemaReader, indent: str) -> str:
    """PL/pgSQL: `names_wanted` has what the words may mean and the rehearsal didn't touch."""
    found = reader.mentioned.format(words="words", path="search_schemas")
    known = literal(json.dumps(list(reader.schemas), ensure_ascii=False))
    touched = _recordset("rehearsed").replace(" AS r ", " AS t ")
    managed = f"NOT EXISTS (SELECT FROM pg_catalog.unnest(r.owners) AS o(name) WHERE o.name ~ {literal(reader.unmanaged)})"
    return f"""{indent}SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(r)), '[]') INTO names_wanted FROM ({found}) r
{indent}WHERE NOT (r.kind = 'schema' AND {known}::pg_catalog.jsonb ? r.key) AND ({managed if reader.unmanaged else "true"})
{indent}  AND NOT EXISTS (SELECT FROM {touched} WHERE t.kind = r.kind AND t.key = r.key);
"""


def _without_unmanaged(reader: SchemaReader, kind: str) -> str:
    """SQL: the condition for definitions `p` that leaves out those of other tables, which reference or inherit from what is
    asked for, if they are unmanaged. What is asked for isn't."""
    if not reader.unmanaged or kind != "relation":
        return ""
    owner = "COALESCE(NULLIF(p.parent, ''), p.name)"
    name = f"pg_catalog.parse_ident({owner})"
    full = f"CASE pg_catalog.cardinality({name}) WHEN 1 THEN '{{public}}'::pg_catalog.text[] || {name} ELSE {name} END"
    return f" WHERE p.key = 'relation ' || {owner} OR pg_catalog.array_to_string({full}, '.') !~ {literal(reader.unmanaged)}"


def _after(reader: SchemaReader, rehearsed: str, deploy_id: str) -> str:
    """Notes how the step leaves what a later step touches: what it may have changed in the rehearsal, and the relations that it
    has locked for a change only here."""
    watched = json_literal({one.key: one.as_json() for one in reader.watched})
    modes = ", ".join(f"'{mode}'" for mode in STRONG_MODES)
    if not reader.records:
        return ""
    return f"""{_wanted(rehearsed)}    IF rehearsed IS NOT NULL THEN
{_set(reader.settings)}{_mentioned(reader, "      ")}      SELECT pg_catalog.jsonb_agg(t.one) INTO names_wanted FROM (
        SELECT n.one FROM pg_catalog.jsonb_array_elements(names_wanted) AS n(one) UNION SELECT e.one FROM pg_catalog.jsonb_array_elements(rehearsed) AS e(one) WHERE e.one ? 'again'
        UNION SELECT {watched}::pg_catalog.jsonb -> ({_QUALIFIED}) FROM pg_catalog.pg_locks l
          JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode IN ({modes})
          AND {watched}::pg_catalog.jsonb ? ({_QUALIFIED}) AND NOT EXISTS (SELECT FROM {_recordset("rehearsed")}
            WHERE r.kind = 'relation' AND r.key = {_QUALIFIED} AND r.again)) t;
      IF names_wanted IS NOT NULL THEN
{_read_now(reader)}        INSERT INTO mosaic_deploy.settings AS s (name, value, deploy_id, updated_at)
        SELECT '{LEFT}', pg_catalog.jsonb_object_agg({_ID}, COALESCE(schema_now -> ({_ID}), '["", []]')), {literal(deploy_id)},
          pg_catalog.clock_timestamp() FROM {_recordset("names_wanted")}
        ON CONFLICT (name) DO UPDATE SET deploy_id = EXCLUDED.deploy_id, updated_at = EXCLUDED.updated_at,
          value = CASE WHEN s.deploy_id = EXCLUDED.deploy_id THEN s.value || EXCLUDED.value ELSE EXCLUDED.value END;
      END IF;
    END IF;
"""


def observe_sql(reader: SchemaReader, which: str) -> str:
    """PL/pgSQL at the end of a step in a rehearsal: reports the relations that its transaction has locked, with the modes."""
    if not reader.observes:
        return ""
    held = f"""SELECT pg_catalog.json_agg(pg_catalog.json_build_array({_QUALIFIED}, l.mode))
    FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.locktype OPERATOR(pg_catalog.=) 'relation'
    AND c.relkind OPERATOR(pg_catalog.=) ANY ('{{r,p,f,v,m,S}}') AND n.nspname OPERATOR(pg_catalog.!~) '^pg_'
    AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{{information_schema,mosaic_deploy}}')"""
    facts = f"pg_catalog.json_build_object({which}, '{OBSERVED}', ({held}))::text"
    return f"    RAISE INFO USING MESSAGE = pg_catalog.concat({SPLIT_MARKER}, {facts});\n"
