"""What acts on tables and events: triggers, policies, rules, event triggers, publications, extended statistics."""

from __future__ import annotations

from mosaic_deploy.live.catalog.names import (
    FIRST_USER_OID,
    RELATION,
    SCHEMA_PREFIX,
    USER_SCHEMAS,
    from_relations,
    not_in_extension,
    owner_text,
)


def _enabled(column: str) -> str:
    return f"CASE {column} WHEN 'O' THEN '' WHEN 'D' THEN ' DISABLED' ELSE ' ENABLED ' || {column}::text END"


TRIGGERS = f"""SELECT 'trigger', pg_catalog.quote_ident(g.tgname), {RELATION}, 0,
CASE WHEN g.tgconstraint <> 0 THEN 'CONSTRAINT ' ELSE '' END
  || pg_catalog.substring(pg_catalog.pg_get_triggerdef(g.oid, true), '(?:BEFORE|AFTER|INSTEAD OF) .*$')
  || {_enabled("g.tgenabled")}
{from_relations("JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid")} AND NOT g.tgisinternal AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_trigger h WHERE h.oid = g.tgparentid AND h.tgenabled = g.tgenabled)"""
"""Without those that partitions have from their table, unless they are enabled in another way."""

POLICIES = f"""SELECT 'policy', pg_catalog.quote_ident(p.polname), {RELATION}, 0,
pg_catalog.concat_ws(' ', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
  CASE p.polcmd WHEN 'r' THEN 'FOR SELECT' WHEN 'a' THEN 'FOR INSERT' WHEN 'w' THEN 'FOR UPDATE'
    WHEN 'd' THEN 'FOR DELETE' ELSE 'FOR ALL' END,
  'TO ' || (SELECT pg_catalog.string_agg(CASE r WHEN 0 THEN 'public' ELSE r::pg_catalog.regrole::text END, ', '
    ORDER BY CASE r WHEN 0 THEN 'public' ELSE r::pg_catalog.regrole::text END COLLATE "C")
    FROM pg_catalog.unnest(p.polroles) r),
  'USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
  'WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')')
{from_relations("JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid")}"""

RULES = f"""SELECT 'rule', pg_catalog.quote_ident(w.rulename), {RELATION}, 0,
pg_catalog.pg_get_ruledef(w.oid, true) || {_enabled("w.ev_enabled")}
{from_relations("JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid")} AND w.rulename <> '_RETURN'"""

EVENT_TRIGGERS = f"""SELECT 'event trigger', pg_catalog.quote_ident(e.evtname), '', 0,
pg_catalog.concat_ws(' ', 'ON ' || e.evtevent, 'WHEN TAG IN (' || pg_catalog.array_to_string(e.evttags, ', ') || ')',
  'EXECUTE FUNCTION ' || e.evtfoid::pg_catalog.regproc::text || {_enabled("e.evtenabled")}, {owner_text("e.evtowner")})
FROM pg_catalog.pg_event_trigger e WHERE {not_in_extension("pg_event_trigger", "e.oid")}"""

_PUBLISHED_COLUMNS = """'(' || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum)
  FROM pg_catalog.pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[])) || ')'"""
PUBLICATIONS = f"""SELECT 'publication', pg_catalog.quote_ident(b.pubname), '', 0,
pg_catalog.concat_ws(' ', CASE WHEN b.puballtables THEN 'FOR ALL TABLES' END,
  'FOR TABLE ' || (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', r.prrelid::pg_catalog.regclass::text,
    {_PUBLISHED_COLUMNS}, 'WHERE ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid)), ', ' ORDER BY r.prrelid::pg_catalog.regclass::text COLLATE "C")
    FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = b.oid),
  'FOR TABLES IN SCHEMA ' || (SELECT pg_catalog.string_agg(s.pnnspid::pg_catalog.regnamespace::text, ', '
    ORDER BY s.pnnspid::pg_catalog.regnamespace::text COLLATE "C") FROM pg_catalog.pg_publication_namespace s
    WHERE s.pnpubid = b.oid),
  'WITH (publish = ' || pg_catalog.concat_ws(', ', CASE WHEN b.pubinsert THEN 'insert' END,
    CASE WHEN b.pubupdate THEN 'update' END, CASE WHEN b.pubdelete THEN 'delete' END,
    CASE WHEN b.pubtruncate THEN 'truncate' END) || CASE WHEN b.pubviaroot THEN ', via root' ELSE '' END
    || CASE pg_catalog.to_jsonb(b) ->> 'pubgencols' WHEN 's' THEN ', generated columns' ELSE '' END || ')',
  {owner_text("b.pubowner")})
FROM pg_catalog.pg_publication b WHERE b.oid >= {FIRST_USER_OID} AND {not_in_extension("pg_publication", "b.oid")}"""

STATISTICS = f"""SELECT 'statistics', {SCHEMA_PREFIX}pg_catalog.quote_ident(s.stxname), '', 0, pg_catalog.concat_ws(' ',
pg_catalog.substring(pg_catalog.pg_get_statisticsobjdef(s.oid), '^CREATE STATISTICS [^(]*?((?:\\([a-z, ]+\\) )?ON .*)$'),
CASE WHEN s.stxstattarget >= 0 THEN 'STATISTICS ' || s.stxstattarget END, {owner_text("s.stxowner")})
FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
WHERE {USER_SCHEMAS} AND {not_in_extension("pg_statistic_ext", "s.oid")}"""
