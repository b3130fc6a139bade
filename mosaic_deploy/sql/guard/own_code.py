"""Whether a step may run code that its text doesn't show: functions of the project, triggers, rules, policies, casts, operators.

The text gives only names, and says nothing of the search path or of types. So a name stands for everything that has it, in any
schema. What a name doesn't show (casts, operator classes, domains) is looked for in the whole database. The catalog is asked before
and after the step; what could change it in between is no `StepCode`.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mosaic_deploy.sql.quote import literal


@dataclass(frozen=True, slots=True)
class StepCode:
    """The names in a step's statements, all of which can be read and can't hide an object that they use.

    `names` has every identifier and operator, `written` the tables and views whose rows they write. `uses_defaults`: columns may
    get their default. `changes_object`: event triggers may fire.
    """

    names: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    uses_defaults: bool = False
    changes_object: bool = False

    def with_code(
        self,
        names: AbstractSet[str] = frozenset(),
        written: AbstractSet[str] = frozenset(),
        *,
        uses_defaults: bool = False,
        changes_object: bool = False,
    ) -> StepCode:
        """This and the code of another statement."""
        return StepCode(
            self.names | names | written,
            self.written | written,
            self.uses_defaults or uses_defaults,
            self.changes_object or changes_object,
        )

    def as_json(self) -> dict[str, object]:
        return {
            "names": sorted(self.names),
            "written": sorted(self.written),
            "uses_defaults": self.uses_defaults,
            "changes_object": self.changes_object,
        }


_HARMLESS = """
    random random_normal setseed clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7 nextval currval lastval setval
    set_config pg_notify pg_advisory_lock pg_advisory_xact_lock pg_advisory_unlock pg_sleep
"""
"""Volatile functions of PostgreSQL that run no other code. Its stable and immutable ones run none, with few exceptions."""
_OWN_OIDS = 16384
"""PostgreSQL's own objects have lower OIDs."""
_OF_EXTENSION = """EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.deptype = 'e' AND e.objid = p.oid
          AND e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass)"""
_MAY_RUN_CODE = f"""CASE WHEN p.oid < {_OWN_OIDS} THEN p.provolatile = 'v'
          AND p.proname <> ALL (pg_catalog.string_to_array({literal(" ".join(_HARMLESS.split()))}, ' '))
          OR p.proname ~ '_to_xml' OR p.proname IN ('pg_input_is_valid', 'pg_input_error_info')
        ELSE p.provolatile <> 'i' OR NOT {_OF_EXTENSION} END"""
"""Whether function `p` may run code of the project, or write rows. Of an extension, immutable ones don't."""
_GUARDS_OWN = "pg_catalog.to_regclass('pg_temp.mosaic_measured')::pg_catalog.oid"
"""The table whose deferred trigger measures a person's SQL."""
_USED_BY = """SELECT d.refobjid FROM pg_catalog.pg_depend d
            WHERE d.classid = '{0}'::pg_catalog.regclass AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"""
_CALLED = "pg_catalog.regexp_matches(x.tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g')"
"""The functions in a stored expression, by OID."""
_EXPRESSIONS = """SELECT pg_catalog.concat(w.ev_action, w.ev_qual) FROM pg_catalog.pg_rewrite w WHERE w.ev_class IN (SELECT r.oid FROM reached r)
        UNION ALL SELECT pg_catalog.concat(w.polqual, w.polwithcheck) FROM pg_catalog.pg_policy w WHERE w.polrelid IN (SELECT r.oid FROM reached r)
        UNION ALL SELECT w.adbin::pg_catalog.text FROM pg_catalog.pg_attrdef w
          JOIN pg_catalog.pg_attribute a ON a.attrelid = w.adrelid AND a.attnum = w.adnum
          WHERE w.adrelid IN (SELECT r.oid FROM reached r) AND (a.attgenerated <> '' OR (code.value ->> 'uses_defaults')::pg_catalog.bool)
        UNION ALL SELECT w.conbin::pg_catalog.text FROM pg_catalog.pg_constraint w
          WHERE w.contypid <> 0 OR w.conrelid IN (SELECT r.oid FROM reached r)
        UNION ALL SELECT pg_catalog.concat(w.indexprs, w.indpred) FROM pg_catalog.pg_index w WHERE w.indexrelid IN (SELECT r.oid FROM reached r)
        UNION ALL SELECT w.partexprs::pg_catalog.text FROM pg_catalog.pg_partitioned_table w WHERE w.partrelid IN (SELECT r.oid FROM reached r)"""
_CALLABLE = f"SELECT m[1]::pg_catalog.oid FROM ({_EXPRESSIONS}) x(tree), LATERAL {_CALLED} m"
_IMPLICIT = """SELECT o.oprcode FROM pg_catalog.pg_operator o WHERE o.oprname IN ('=', '<>', '<', '>', '<=', '>=')
          OR EXISTS (SELECT FROM names n WHERE pg_catalog.strpos(n.name, o.oprname) > 0)
          OR o.oid IN (SELECT a.amopopr FROM pg_catalog.pg_amop a)
        UNION ALL SELECT a.amproc FROM pg_catalog.pg_amproc a UNION ALL SELECT k.castfunc FROM pg_catalog.pg_cast k
        UNION ALL SELECT g.rngcanonical FROM pg_catalog.pg_range g UNION ALL SELECT g.rngsubdiff FROM pg_catalog.pg_range g"""
"""The functions of operators, casts and operator classes. Those of an extension only implement its types."""


def may_run_own_code_sql(code: str, tables: str) -> str:
    """An SQL condition: whether a step with the SQL expression `code`, a StepCode as jsonb, may run code that its text doesn't show.

    Null, code that can't be told by names, does. `tables` is a SELECT of the OIDs of further tables whose rows it writes.
    """
    return f"""(WITH RECURSIVE code AS (SELECT {code} AS value),
      names AS (SELECT n.name FROM code, pg_catalog.jsonb_array_elements_text(code.value -> 'names') n(name)),
      reached(oid, written) AS (
        SELECT c.oid, code.value -> 'written' ? c.relname::pg_catalog.text FROM code, pg_catalog.pg_class c
          WHERE c.oid >= {_OWN_OIDS} AND c.relname::pg_catalog.text IN (SELECT n.name FROM names n)
        UNION SELECT t.oid, true FROM ({tables}) t(oid)
        UNION SELECT f.oid, r.written AND f.written FROM reached r, LATERAL (
          SELECT i.inhparent, true FROM pg_catalog.pg_inherits i WHERE i.inhrelid = r.oid
          UNION ALL SELECT i.inhrelid, true FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.oid
          UNION ALL SELECT x.indexrelid, false FROM pg_catalog.pg_index x WHERE x.indrelid = r.oid
          UNION ALL SELECT k.conrelid, true FROM pg_catalog.pg_constraint k WHERE r.written AND k.confrelid = r.oid
            AND k.contype = 'f' AND (k.confupdtype IN ('c', 'n') OR k.confdeltype IN ('c', 'n'))
          UNION ALL SELECT u.oid, true FROM pg_catalog.pg_rewrite w, LATERAL ({_USED_BY.format("pg_catalog.pg_rewrite")}) u(oid) WHERE w.ev_class = r.oid
          UNION ALL SELECT u.oid, false FROM pg_catalog.pg_policy w, LATERAL ({_USED_BY.format("pg_catalog.pg_policy")}) u(oid) WHERE w.polrelid = r.oid
        ) f(oid, written))
      SELECT code.value IS NULL
        OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE {_MAY_RUN_CODE}
          AND (p.proname::pg_catalog.text IN (SELECT n.name FROM names n) OR p.oid IN ({_CALLABLE})))
        OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.oid >= {_OWN_OIDS} AND p.oid IN ({_IMPLICIT}) AND NOT {_OF_EXTENSION})
        OR EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
          AND (t.tgdeferrable AND t.tgrelid IS DISTINCT FROM {_GUARDS_OWN} OR t.tgrelid IN (SELECT r.oid FROM reached r WHERE r.written)))
        OR EXISTS (SELECT FROM reached r JOIN pg_catalog.pg_class c ON c.oid = r.oid WHERE c.relkind = 'f')
        OR EXISTS (SELECT FROM reached r JOIN pg_catalog.pg_constraint k ON k.confrelid = r.oid
          WHERE r.written AND k.contype = 'f' AND 'd' IN (k.confupdtype, k.confdeltype))
        OR (code.value ->> 'changes_object')::pg_catalog.bool
          AND EXISTS (SELECT FROM pg_catalog.pg_event_trigger t WHERE t.evtenabled <> 'D')
      FROM code)"""
