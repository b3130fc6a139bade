"""Statements about the extensions that the platform installs in every database, made to work as in an empty one."""

from __future__ import annotations

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.quote import dollar_quote, literal
from mosaic_deploy.sql.scripts.substitute import substitute

PREINSTALLED = ("vector", "uuid-ossp", "pgcrypto")
_COMMENTED = (*PREINSTALLED, "plpgsql")


def adapt_extension(statement: Statement) -> Statement:
    """CREATE, ALTER … SET SCHEMA and COMMENT ON a pre-installed extension; any other statement unchanged.

    CREATE EXTENSION keeps the extension that the platform installed, even without IF NOT EXISTS. If it names another
    schema and nothing in the database uses the extension, it is created again there; ALTER EXTENSION … SET SCHEMA the
    same. The comment is left out if the platform owns the extension.
    """
    node, kind = statement.node, statement.kind
    if kind == "CreateExtensionStmt" and node.get("extname") in PREINSTALLED:
        return substitute(statement, _create(statement))
    if kind == "AlterObjectSchemaStmt" and _extension(node) in PREINSTALLED:
        return substitute(statement, _move(statement))
    if kind == "CommentStmt" and _extension(node) in _COMMENTED:
        return substitute(statement, _comment(statement))
    return statement


def _extension(node: Tree) -> str:
    """The extension that a COMMENT or ALTER … SET SCHEMA is about; "" if it is about another object."""
    if "OBJECT_EXTENSION" not in (node.get("objtype"), node.get("objectType")):
        return ""
    return str(node.get("object", {}).get("String", {}).get("sval", ""))


def _create(statement: Statement) -> str:
    node = statement.node
    options = {item["DefElem"]["defname"]: item["DefElem"].get("arg") for item in node.get("options", [])}
    schema = (options.get("schema") or {}).get("String", {}).get("sval")
    body = _CREATE.format(
        name=literal(str(node["extname"])),
        schema=literal(schema) if schema else "pg_catalog.current_schema()",
        statement=literal(statement.text),
        named_in_a_body=_NAMED_IN_A_BODY,
        optional="true" if node.get("if_not_exists") else "false",
        other_version="true" if "new_version" in options else "false",
    )
    return "DO " + dollar_quote(body, "mosaic_extension")


_NAMED_IN_A_BODY = """EXISTS (
      SELECT FROM pg_catalog.pg_depend d
      LEFT JOIN pg_catalog.pg_proc f ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = d.objid
        AND f.prokind <> 'a'
      LEFT JOIN pg_catalog.pg_type t ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.objid
      JOIN pg_catalog.pg_proc own
        ON pg_catalog.strpos(pg_catalog.lower(own.prosrc), COALESCE(f.proname, t.typname)::text) > 0
      JOIN pg_catalog.pg_namespace n ON n.oid = own.pronamespace
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'mosaic_deploy')
      WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = installed.oid
        AND d.deptype = 'e' AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend member WHERE member.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
            AND member.objid = own.oid AND member.deptype = 'e'))"""
"""Whether the body of a function names something of the extension. PostgreSQL doesn't record that as a dependency."""
# An extension is the platform's if it is older than the tracking tables. One that a migration created isn't, so
# CREATE EXTENSION of it does what PostgreSQL does.
_CREATE = """DECLARE
  name text := {name};
  wanted text := {schema};
  command text := {statement};
  optional boolean := {optional};
  installed record;
  reason text;
BEGIN
  SELECT e.oid, n.nspname AS schema INTO installed
  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
  WHERE e.extname = name
    AND e.oid < (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'mosaic_deploy');
  IF NOT FOUND OR {other_version} THEN
    EXECUTE command;
    RETURN;
  END IF;
  IF installed.schema = wanted THEN
    RAISE NOTICE 'extension "%" is pre-installed by the platform and kept', name;
    RETURN;
  END IF;
  BEGIN
    IF {named_in_a_body} THEN
      RAISE dependent_objects_still_exist;
    END IF;
    EXECUTE pg_catalog.format('DROP EXTENSION %I', name);
    EXECUTE command;
    RETURN;
  EXCEPTION WHEN insufficient_privilege THEN
    reason := 'the platform owns it';
  WHEN dependent_objects_still_exist THEN
    reason := 'the database uses it';
  END;
  IF optional THEN
    RAISE NOTICE 'extension "%" is pre-installed in schema "%" and can''t be moved to "%": %',
      name, installed.schema, wanted, reason;
  ELSE
    RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
      MESSAGE = pg_catalog.format('extension "%s" is pre-installed in schema "%s" and can''t be moved to "%s": %s',
        name, installed.schema, wanted, reason),
      HINT = pg_catalog.format('write CREATE EXTENSION %I SCHEMA %I', name, installed.schema);
  END IF;
END"""


def _move(statement: Statement) -> str:
    node = statement.node
    body = _MOVE.format(
        name=literal(_extension(node)),
        schema=literal(str(node["newschema"])),
        statement=literal(statement.text),
        named_in_a_body=_NAMED_IN_A_BODY,
    )
    return "DO " + dollar_quote(body, "mosaic_extension")


# An extension that a migration created has functions that a superuser owns, which PostgreSQL doesn't let others move.
_MOVE = """DECLARE
  name text := {name};
  installed record;
  used boolean := false;
BEGIN
  BEGIN
    EXECUTE {statement};
  EXCEPTION WHEN insufficient_privilege THEN
    SELECT e.oid, e.extversion INTO installed FROM pg_catalog.pg_extension e
    WHERE e.extname = name AND pg_catalog.pg_has_role(e.extowner, 'USAGE');
    IF NOT FOUND OR {named_in_a_body} THEN
      RAISE;
    END IF;
    BEGIN
      EXECUTE pg_catalog.format('DROP EXTENSION %I', name);
      EXECUTE pg_catalog.format('CREATE EXTENSION %I SCHEMA %I VERSION %L', name, {schema}, installed.extversion);
    EXCEPTION WHEN dependent_objects_still_exist THEN
      used := true;
    END;
    IF used THEN
      RAISE;
    END IF;
  END;
END"""


def _comment(statement: Statement) -> str:
    body = (
        f"BEGIN EXECUTE {literal(statement.text)}; EXCEPTION WHEN insufficient_privilege THEN "
        "RAISE NOTICE 'the comment is left out, because the platform owns this extension'; END"
    )
    return "DO " + dollar_quote(body, "mosaic_extension")
