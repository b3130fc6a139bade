"""Grants, default privileges and comments."""

from __future__ import annotations

from mosaic_deploy.live.catalog.names import (
    FIRST_USER_OID,
    FROM_ROUTINES,
    FROM_TYPES,
    QUALIFIED_RELATION,
    RELATION,
    ROUTINE,
    TYPE,
    USER_SCHEMAS,
    from_relations,
    not_in_extension,
)


def _privileges(acl: str) -> str:
    """The privileges by grantee: `INSERT, SELECT WITH GRANT OPTION`."""
    privilege = "x.privilege_type || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
    return (
        "SELECT x.grantee, pg_catalog.string_agg(x.privilege, ', ' ORDER BY x.privilege) AS list FROM ("
        f'SELECT DISTINCT x.grantee, ({privilege}) COLLATE "C" AS privilege FROM pg_catalog.aclexplode({acl}) x) x '
        "GROUP BY x.grantee"
    )


def _unusual(acl: str, usual: str) -> str:
    """The grantees whose privileges aren't those of a new object: `name`, `list`, which is `none` without any."""
    return f"""(SELECT CASE grantee WHEN 0 THEN 'public' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END
    AS name, COALESCE(given.list, 'none') AS list
  FROM ({_privileges(acl)}) given FULL JOIN ({_privileges(usual)}) usual USING (grantee)
  WHERE given.list IS DISTINCT FROM usual.list) g"""


RELATION_ACLS = f"""SELECT {RELATION}, '', c.relacl, c.relowner, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END
{from_relations()} AND c.relacl IS NOT NULL AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
UNION ALL SELECT {RELATION}, ' (' || pg_catalog.quote_ident(a.attname) || ')', a.attacl, c.relowner, 'c'
{from_relations("JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid")} AND a.attacl IS NOT NULL AND NOT a.attisdropped"""
SCHEMA_ACLS = f"""SELECT 'schema ' || pg_catalog.quote_ident(n.nspname), '', n.nspacl, n.nspowner, 'n'
FROM pg_catalog.pg_namespace n WHERE {USER_SCHEMAS} AND n.nspacl IS NOT NULL AND {not_in_extension("pg_namespace", "n.oid")}"""

OTHER_ACLS = f"""SELECT 'foreign-data wrapper ' || pg_catalog.quote_ident(w.fdwname), '', w.fdwacl, w.fdwowner, 'F'
FROM pg_catalog.pg_foreign_data_wrapper w WHERE w.fdwacl IS NOT NULL AND {not_in_extension("pg_foreign_data_wrapper", "w.oid")}
UNION ALL SELECT 'server ' || pg_catalog.quote_ident(s.srvname), '', s.srvacl, s.srvowner, 'S'
FROM pg_catalog.pg_foreign_server s WHERE s.srvacl IS NOT NULL AND {not_in_extension("pg_foreign_server", "s.oid")}
UNION ALL SELECT 'language ' || pg_catalog.quote_ident(l.lanname), '', l.lanacl, l.lanowner, 'l'
FROM pg_catalog.pg_language l WHERE l.lanacl IS NOT NULL AND {not_in_extension("pg_language", "l.oid")}"""


def routine_acls(source: str = FROM_ROUTINES) -> str:
    return f"SELECT {ROUTINE}, '', f.proacl, f.proowner, 'f' {source} AND f.proacl IS NOT NULL"


def type_acls(source: str = FROM_TYPES) -> str:
    return f"SELECT {TYPE}, '', y.typacl, y.typowner, 'T' {source} AND y.typacl IS NOT NULL"


def grants(*acls: str) -> str:
    """The privileges that the queries `acls` yield."""
    return f"""SELECT 'grant', g.name || o.part, o.name, 0, g.list
FROM ({" UNION ALL ".join(acls)}) AS o (name, part, acl, owner, type)
CROSS JOIN LATERAL {_unusual("o.acl", 'pg_catalog.acldefault(o.type::"char", o.owner)')}"""


GRANTS = grants(RELATION_ACLS, SCHEMA_ACLS, routine_acls(), type_acls(), OTHER_ACLS)
"""Per grantee whose privileges aren't the usual ones; the parent is the object, or `schema NAME`."""

DEFAULT_PRIVILEGES = f"""SELECT 'default privileges', 'on ' || o.objects || ' of ' || pg_catalog.quote_ident(
  pg_catalog.pg_get_userbyid(e.defaclrole)) || COALESCE(' in ' || pg_catalog.quote_ident(n.nspname), '') || ' for ' || g.name,
  '', 0, g.list
FROM pg_catalog.pg_default_acl e LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.defaclnamespace
CROSS JOIN LATERAL (SELECT CASE e.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
  WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END AS objects, CASE WHEN e.defaclnamespace = 0
  THEN pg_catalog.acldefault(CASE e.defaclobjtype WHEN 'S' THEN 's' ELSE e.defaclobjtype END, e.defaclrole)
  END AS acl) o
CROSS JOIN LATERAL {_unusual("e.defaclacl", "o.acl")}
WHERE n.nspname IS NULL OR ({USER_SCHEMAS})"""
"""Per owner, schema, kind of object and grantee."""

_IDENTIFIER = '(?:"(?:[^"]|"")+"|[^" .]+)'
_SQL_NAME = f"{_IDENTIFIER}(?:\\.{_IDENTIFIER})?"
_UNQUALIFIED = "pg_catalog.regexp_replace(i.identity, '^public\\.| on public\\.', CASE WHEN i.identity ~ '^public\\.' THEN '' ELSE ' on ' END)"
COMMENTS = f"""SELECT 'comment', pg_catalog.regexp_replace(i.type, '^.* (column|constraint)$', '\\1') || ' ' || {_UNQUALIFIED}, COALESCE(
  CASE WHEN d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN (SELECT {QUALIFIED_RELATION} FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = d.objoid)
  ELSE pg_catalog.regexp_replace(pg_catalog.substring(i.identity, ' on ({_SQL_NAME})$'), '^public\\.', '') END, ''), 0,
  pg_catalog.quote_literal(d.description)
FROM (SELECT * FROM pg_catalog.pg_description d WHERE d.objoid >= {FIRST_USER_OID} OR (
  d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.description <> 'standard public schema'
  AND d.objoid = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'))) d
CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE i.identity IS NOT NULL AND NOT (d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND i.identity = 'mosaic_deploy')
AND d.classoid <> 'pg_catalog.pg_extension'::pg_catalog.regclass
AND COALESCE(i.schema, '') NOT IN ('information_schema', 'mosaic_deploy') AND COALESCE(i.schema, '') !~ '^pg_'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')"""
"""Named after the object: `table books`, `column books.title`, `policy seen on books`."""
