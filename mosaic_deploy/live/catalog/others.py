"""What few schemas have: casts, operators, collations, text search, languages, access methods, and foreign servers."""

from __future__ import annotations

from mosaic_deploy.live.catalog.names import FIRST_USER_OID, owner_text


def _field(row: str, name: str) -> str:
    """The value of a column that not every supported version of PostgreSQL has, as text."""
    return f"(pg_catalog.to_jsonb({row}) ->> '{name}')"


def _function(label: str, column: str) -> str:
    """`LABEL name`; null if there is no function."""
    return f"'{label} ' || NULLIF({column}::text, '-')"


def _hidden_options(options: str) -> str:
    """`OPTIONS (host, port)` with a digest of the values, which may be secrets: long enough to show most changes, not more."""
    return f"""'OPTIONS (' || (SELECT pg_catalog.string_agg(pg_catalog.split_part(v, '=', 1), ', ' ORDER BY v)
  FROM pg_catalog.unnest({options}) v) || ') digest ' || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(
  pg_catalog.convert_to({options}::text, 'UTF8')), 'hex'), 4)"""


_CAST = """CASE x.castmethod WHEN 'b' THEN 'WITHOUT FUNCTION' WHEN 'i' THEN 'WITH INOUT'
  ELSE 'WITH FUNCTION ' || x.castfunc::pg_catalog.regprocedure::text END,
CASE x.castcontext WHEN 'a' THEN 'AS ASSIGNMENT' WHEN 'i' THEN 'AS IMPLICIT' END"""
_OPERATOR = f"""{_function("FUNCTION", "x.oprcode")}, {_function("RESTRICT", "x.oprrest")}, {_function("JOIN", "x.oprjoin")},
'COMMUTATOR ' || NULLIF(x.oprcom, 0)::pg_catalog.regoperator::text,
'NEGATOR ' || NULLIF(x.oprnegate, 0)::pg_catalog.regoperator::text,
CASE WHEN x.oprcanhash THEN 'HASHES' END, CASE WHEN x.oprcanmerge THEN 'MERGES' END, {owner_text("x.oprowner")}"""
_OPERATOR_CLASS = f"""CASE WHEN x.opcdefault THEN 'DEFAULT' END, 'FOR TYPE ' || pg_catalog.format_type(x.opcintype, NULL),
'FAMILY ' || (SELECT pg_catalog.quote_ident(f.opfname) FROM pg_catalog.pg_opfamily f WHERE f.oid = x.opcfamily),
'STORAGE ' || pg_catalog.format_type(NULLIF(x.opckeytype, 0), NULL), {owner_text("x.opcowner")}"""
_OPERATOR_FAMILY = f"""(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', 'OPERATOR', o.amopstrategy,
  o.amopopr::pg_catalog.regoperator::text, CASE WHEN o.amoppurpose = 'o' THEN 'FOR ORDER BY ' || (SELECT
    pg_catalog.quote_ident(s.opfname) FROM pg_catalog.pg_opfamily s WHERE s.oid = o.amopsortfamily) END), ', '
  ORDER BY o.amopstrategy, o.amopopr::pg_catalog.regoperator::text COLLATE "C")
  FROM pg_catalog.pg_amop o WHERE o.amopfamily = x.oid),
(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', 'FUNCTION', p.amprocnum, pg_catalog.format_type(p.amproclefttype, NULL),
  pg_catalog.format_type(p.amprocrighttype, NULL), p.amproc::pg_catalog.regprocedure::text), ', ' ORDER BY p.amprocnum,
  pg_catalog.format_type(p.amproclefttype, NULL) COLLATE "C", pg_catalog.format_type(p.amprocrighttype, NULL) COLLATE "C")
  FROM pg_catalog.pg_amproc p WHERE p.amprocfamily = x.oid), {owner_text("x.opfowner")}"""
_COLLATION = f"""'PROVIDER ' || CASE x.collprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' WHEN 'b' THEN 'builtin' END,
'LOCALE ' || COALESCE({_field("x", "colllocale")}, {_field("x", "colliculocale")}), 'COLLATE ' || x.collcollate,
'CTYPE ' || NULLIF(x.collctype, x.collcollate), 'RULES ' || pg_catalog.quote_literal({_field("x", "collicurules")}),
CASE WHEN NOT x.collisdeterministic THEN 'NOT DETERMINISTIC' END, {owner_text("x.collowner")}"""
_CONVERSION = f"""CASE WHEN x.condefault THEN 'DEFAULT' END, 'FOR ' || pg_catalog.pg_encoding_to_char(x.conforencoding),
'TO ' || pg_catalog.pg_encoding_to_char(x.contoencoding), {_function("FROM", "x.conproc")}, {owner_text("x.conowner")}"""
_LANGUAGE = f"""CASE WHEN x.lanpltrusted THEN 'TRUSTED' END,
'HANDLER ' || NULLIF(x.lanplcallfoid, 0)::pg_catalog.regproc::text, 'INLINE ' || NULLIF(x.laninline, 0)::pg_catalog.regproc::text,
'VALIDATOR ' || NULLIF(x.lanvalidator, 0)::pg_catalog.regproc::text, {owner_text("x.lanowner")}"""
_TEXT_SEARCH_CONFIGURATION = f"""'PARSER ' || (SELECT pg_catalog.quote_ident(p.prsname) FROM pg_catalog.pg_ts_parser p
  WHERE p.oid = x.cfgparser),
'MAPPING ' || (SELECT pg_catalog.string_agg(m.alias || ' WITH ' || m.dictionaries, E',\\n' ORDER BY m.alias COLLATE "C") FROM (
  SELECT t.alias, pg_catalog.string_agg(c.mapdict::pg_catalog.regdictionary::text, ', ' ORDER BY c.mapseqno) AS dictionaries
  FROM pg_catalog.pg_ts_config_map c JOIN pg_catalog.ts_token_type(x.cfgparser) t ON t.tokid = c.maptokentype
  WHERE c.mapcfg = x.oid GROUP BY t.alias) m), {owner_text("x.cfgowner")}"""
_TEXT_SEARCH_DICTIONARY = f"""'TEMPLATE ' || (SELECT pg_catalog.quote_ident(t.tmplname) FROM pg_catalog.pg_ts_template t
  WHERE t.oid = x.dicttemplate), x.dictinitoption, {owner_text("x.dictowner")}"""
_TEXT_SEARCH_PARSER = ", ".join(
    _function(label, f"x.prs{column}")
    for label, column in (
        ("START", "start"),
        ("GETTOKEN", "token"),
        ("END", "end"),
        ("HEADLINE", "headline"),
        ("LEXTYPES", "lextype"),
    )
)
_TEXT_SEARCH_TEMPLATE = f"""{_function("INIT", "x.tmplinit")}, {_function("LEXIZE", "x.tmpllexize")}"""
_FOREIGN_DATA_WRAPPER = f"""'HANDLER ' || NULLIF(x.fdwhandler, 0)::pg_catalog.regproc::text,
'VALIDATOR ' || NULLIF(x.fdwvalidator, 0)::pg_catalog.regproc::text, {_hidden_options("x.fdwoptions")}, {owner_text("x.fdwowner")}"""
_SERVER = f"""'TYPE ' || pg_catalog.quote_literal(x.srvtype), 'VERSION ' || pg_catalog.quote_literal(x.srvversion),
'FOREIGN DATA WRAPPER ' || (SELECT pg_catalog.quote_ident(w.fdwname) FROM pg_catalog.pg_foreign_data_wrapper w
  WHERE w.oid = x.srvfdw), {_hidden_options("x.srvoptions")}, {owner_text("x.srvowner")}"""
_TRANSFORM = """'FROM SQL ' || NULLIF(x.trffromsql, 0)::pg_catalog.regprocedure::text,
'TO SQL ' || NULLIF(x.trftosql, 0)::pg_catalog.regprocedure::text"""
_ACCESS_METHOD = """'TYPE ' || x.amtype::text, 'HANDLER ' || x.amhandler::text"""

_DEFINITIONS = {
    "pg_cast": _CAST,
    "pg_operator": _OPERATOR,
    "pg_opclass": _OPERATOR_CLASS,
    "pg_opfamily": _OPERATOR_FAMILY,
    "pg_collation": _COLLATION,
    "pg_conversion": _CONVERSION,
    "pg_language": _LANGUAGE,
    "pg_ts_config": _TEXT_SEARCH_CONFIGURATION,
    "pg_ts_dict": _TEXT_SEARCH_DICTIONARY,
    "pg_ts_parser": _TEXT_SEARCH_PARSER,
    "pg_ts_template": _TEXT_SEARCH_TEMPLATE,
    "pg_foreign_data_wrapper": _FOREIGN_DATA_WRAPPER,
    "pg_foreign_server": _SERVER,
    "pg_transform": _TRANSFORM,
    "pg_am": _ACCESS_METHOD,
}
_ROWS = "\nUNION ALL ".join(
    f"SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass::oid, x.oid, pg_catalog.concat_ws(' ', {definition}) "
    f"FROM pg_catalog.{catalog} x WHERE x.oid >= {FIRST_USER_OID}"
    + (" AND x.oprcode <> 0" if catalog == "pg_operator" else "")
    for catalog, definition in _DEFINITIONS.items()
)
OTHERS = f"""SELECT i.type, pg_catalog.regexp_replace(i.identity, '^public\\.', ''), '', 0, o.definition
FROM ({_ROWS}) AS o (classid, objid, definition)
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) AS i
WHERE COALESCE(i.schema, '') NOT IN ('information_schema', 'mosaic_deploy') AND COALESCE(i.schema, '') !~ '^pg_'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.classid AND d.objid = o.objid AND d.deptype IN ('e', 'i'))"""
"""Named as PostgreSQL identifies them: `cast (public.a AS public.b)`. Operators that only another one mentions are left out."""

USER_MAPPINGS = f"""SELECT 'user mapping', 'for ' || CASE m.umuser WHEN 0 THEN 'public' ELSE pg_catalog.quote_ident(m.usename) END
  || ' on server ' || pg_catalog.quote_ident(m.srvname), '', 0, ''
FROM pg_catalog.pg_user_mappings m WHERE m.umid >= {FIRST_USER_OID}"""
"""Without their options, which only some roles can see."""

SUBSCRIPTIONS = """SELECT 'subscription', pg_catalog.quote_ident(s.subname), '', 0, pg_catalog.concat_ws(' ',
  'PUBLICATION ' || pg_catalog.array_to_string(s.subpublications, ', '), CASE WHEN NOT s.subenabled THEN 'DISABLED' END)
FROM pg_catalog.pg_subscription s WHERE s.subdbid = (SELECT b.oid FROM pg_catalog.pg_database b
  WHERE b.datname = pg_catalog.current_database())"""
