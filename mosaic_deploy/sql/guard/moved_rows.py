"""PL/pgSQL that tells the rows that an update moved to another partition from deleted ones.

PostgreSQL counts such a row as deleted in the one partition and inserted in the other. So the deletes of a partition count as moves
only if its whole partitioned table has at least as many new rows as deleted ones since the step began, and no partition that the
guard doesn't watch has new ones: the run may do anything to what it made, also to rows that were moved there.
Rows that other code deletes and inserts would look the same, so the step must run none that its text doesn't show.
"""

from __future__ import annotations

from mosaic_deploy.model.effects import EffectKind
from mosaic_deploy.sql.guard.agreement import MOVED
from mosaic_deploy.sql.guard.own_code import may_run_own_code_sql

MOVED_VARIABLES = "in_partitions pg_catalog.jsonb; moved pg_catalog.jsonb;"


def _tree(oids: str) -> str:
    """A CTE `tree(root, oid)`: all tables of the partitioned tables that the SELECT `oids` has partitions of, once each.

    It takes no lock on them, as pg_partition_tree would.
    """
    return f"""tree(root, oid) AS (
        SELECT r.root::pg_catalog.oid, r.root::pg_catalog.oid FROM (
          SELECT DISTINCT pg_catalog.pg_partition_root(k.oid)::pg_catalog.oid AS root FROM ({oids}) k(oid)) r WHERE r.root IS NOT NULL
        UNION SELECT tree.root, i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)"""


_INSERTED, _DELETED = (
    f"pg_catalog.pg_stat_get_xact_tuples_{verb}(tree.oid)" for verb in ("inserted", "deleted")
)


def begin_moves_sql(agreed: str) -> str:
    """PL/pgSQL before a step, which keeps the counters of the partitions that `agreed` says rows may move between.

    None if the step may run code that its text doesn't show. The counters add up over the transactions of one DO block.
    """
    oids = f"""SELECT t.key::pg_catalog.oid FROM pg_catalog.jsonb_each(existing -> 'tables') t WHERE t.value ?| ARRAY(
          SELECT a.key FROM pg_catalog.jsonb_each_text({agreed} -> 'tables') a WHERE pg_catalog.strpos(a.value, '{MOVED}') > 0)"""
    return f"""in_partitions := (WITH RECURSIVE {_tree(oids)}
      SELECT COALESCE(pg_catalog.jsonb_object_agg(tree.oid::pg_catalog.text, pg_catalog.jsonb_build_array({_INSERTED}, {_DELETED})), '{{}}')
      FROM tree);
    IF in_partitions <> '{{}}' THEN
      IF {_runs_own_code(agreed)} THEN in_partitions := '{{}}'; END IF;
    END IF;
"""


def measure_moves_sql(agreed: str) -> str:
    """PL/pgSQL after a step: the variable `moved` gets the partitions whose deleted rows came back in their partitioned table, and
    `effects` says so of them, unless `agreed` also has the letter for deleted rows.

    TRUNCATE sets counters back, which must not make deletes of other partitions look like moves.
    """
    return f"""    moved := '{{}}';
    IF in_partitions <> '{{}}' THEN
      IF NOT {_runs_own_code(agreed)} THEN moved := {_MOVED}; END IF;
      IF moved <> '{{}}' AND effects ? 'tables' THEN
        effects := pg_catalog.jsonb_set(effects, '{{tables}}', (SELECT pg_catalog.jsonb_agg(
          CASE WHEN {_is_only_moved(agreed)} THEN e || '{{"rows_moved": true}}' ELSE e END ORDER BY n)
          FROM pg_catalog.jsonb_array_elements(effects -> 'tables') WITH ORDINALITY x(e, n)));
      END IF;
    END IF;
"""


def _is_only_moved(agreed: str) -> str:
    letters = f"""(SELECT pg_catalog.string_agg(a.value, '') FROM pg_catalog.jsonb_each_text({agreed} -> 'tables') a
            WHERE e -> 'names' ? a.key)"""
    return f"""moved ? (e ->> 'oid') AND e ? 'deleted'
            AND pg_catalog.strpos({letters}, '{MOVED}') > 0 AND pg_catalog.strpos({letters}, '{EffectKind.DELETED}') = 0"""


def _runs_own_code(agreed: str) -> str:
    tables = "SELECT k::pg_catalog.oid FROM pg_catalog.jsonb_object_keys(in_partitions) k"
    return may_run_own_code_sql(f"{agreed} -> 'code'", tables)


_MOVED = f"""(WITH RECURSIVE {_tree("SELECT k::pg_catalog.oid FROM pg_catalog.jsonb_object_keys(in_partitions) k")},
      net AS (SELECT tree.root, tree.oid, existing -> 'tables' ? tree.oid::pg_catalog.text AS is_old,
          {_INSERTED} - COALESCE((b.value ->> 0)::pg_catalog.int8, 0) AS inserted,
          GREATEST({_DELETED} - COALESCE((b.value ->> 1)::pg_catalog.int8, 0), 0) AS deleted
        FROM tree, LATERAL (SELECT in_partitions -> tree.oid::pg_catalog.text AS value) b)
      SELECT COALESCE(pg_catalog.jsonb_object_agg(n.oid::pg_catalog.text, 1), '{{}}') FROM net n WHERE n.root IN (
        SELECT w.root FROM net w GROUP BY w.root HAVING sum(w.inserted) >= sum(w.deleted)
          AND pg_catalog.bool_and(w.is_old OR w.inserted = 0)))"""


def is_move(kind: str, letters: str, oid: str) -> str:
    """An SQL condition: whether `letters` agree to the effect `kind` on the table `oid` because it is a move."""
    return f"({kind} = 'd' AND pg_catalog.strpos({letters}, '{MOVED}') > 0 AND moved ? ({oid}))"
