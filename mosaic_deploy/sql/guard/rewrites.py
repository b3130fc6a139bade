"""Statements of a file that may give a table another file, which is meant: ALTER TABLE, CLUSTER."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import identifier

REWRITING = frozenset({"AlterTableStmt", "ClusterStmt"})


def rewriting(statements: Sequence[Statement]) -> dict[int, str]:
    """The relations that statements may rewrite, as the statements name them, by the statement's number from 1."""
    found = {}
    for number, statement in enumerate(statements, 1):
        relation = statement.node.get("relation") if statement.kind in REWRITING else None
        if relation:
            parts = (relation.get("schemaname"), relation["relname"])
            found[number] = ".".join(identifier(part) for part in parts if part)
    return found


_TREE = """(WITH RECURSIVE r(oid) AS (SELECT c.oid FROM pg_catalog.pg_class c, pg_catalog.to_regclass(target) f
      WHERE c.oid OPERATOR(pg_catalog.=) f::pg_catalog.oid OR c.reloftype OPERATOR(pg_catalog.=) (
        SELECT t.reltype FROM pg_catalog.pg_class t WHERE t.oid OPERATOR(pg_catalog.=) f::pg_catalog.oid AND t.relkind OPERATOR(pg_catalog.=) 'c')
      UNION SELECT i.inhrelid FROM r JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) r.oid) SELECT oid FROM r)"""
_CHANGED_FILES = f"""SELECT c.oid, c.relfilenode FROM pg_catalog.pg_class c
        WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY{_TREE})
        AND c.relfilenode::pg_catalog.text OPERATOR(pg_catalog.<>) (tables OPERATOR(pg_catalog.->) c.oid::pg_catalog.text OPERATOR(pg_catalog.->>) 'file')"""
BEFORE_REWRITE = f"""SELECT emptied OPERATOR(pg_catalog.||) COALESCE(pg_catalog.jsonb_object_agg(f.oid::pg_catalog.text, 1), '{{}}')
        INTO emptied FROM ({_CHANGED_FILES}) f;
"""
"""PL/pgSQL before a statement that may rewrite the relation whose name is in `target`, as the statement writes it."""
AFTER_REWRITE = f"""DECLARE renewed pg_catalog.record; BEGIN
      FOR renewed IN {_CHANGED_FILES} LOOP
        tables := pg_catalog.jsonb_set(tables, ARRAY[renewed.oid::pg_catalog.text, 'file'], pg_catalog.to_jsonb(renewed.relfilenode::pg_catalog.text));
        EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) OPERATOR(pg_catalog.-) pg_catalog.pg_stat_get_xact_tuples_inserted(%1$s)'
          ' OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_deleted(%1$s) FROM ONLY %2$s', renewed.oid,
          renewed.oid::pg_catalog.regclass) INTO target_rows;
        rewritten := rewritten OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(renewed.oid::pg_catalog.text, target_rows);
      END LOOP;
    END;
"""
"""PL/pgSQL after that statement: the new file is expected."""
