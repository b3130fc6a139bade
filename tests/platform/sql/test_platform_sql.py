"""The SQL endpoint on a real database."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_results_of_statements_with_and_without_rows(api, project) -> None:
    project_id = project()
    assert api.sql(project_id, "CREATE TABLE t (id int PRIMARY KEY, name text)") == [
        {"result": "CREATE TABLE"}
    ]
    assert api.sql(project_id, "INSERT INTO t VALUES (1, 'a'), (2, NULL)") == [{"result": "INSERT 0 2"}]
    response = api.post(f"/{project_id}/sql", json={"query": "SELECT * FROM t ORDER BY id"}).json()
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": None}]
    assert response == {
        "success": True,
        "data": rows,
        "rows": rows,
        "row_count": 2,
        "notices": [],
        "notices_omitted": 0,
    }
    assert api.sql(project_id, "SELECT * FROM t WHERE false") == []
    assert api.sql(project_id, "UPDATE t SET name = 'b' RETURNING id") == [{"id": 1}, {"id": 2}]
    assert api.sql(project_id, "SELECT 1 AS a; SELECT 2 AS b; DELETE FROM t") == [{"result": "DELETE 2"}]
    assert api.sql(project_id, "SELECT 1 AS a; SELECT 2 AS b -- the end") == [{"b": 2}]
    assert api.sql(project_id, "-- nothing") == []


TYPES = {
    "true": True,
    "7::int2": 7,
    "9223372036854775807": "9223372036854775807",
    "1.5::float8": 1.5,
    "'NaN'::float8": "NaN",
    "'-Infinity'::float4": "-Infinity",
    "12345678901234567890.123456789::numeric": "12345678901234567890.123456789",
    "'{\"a\": [1, null]}'::jsonb": {"a": [1, None]},
    "'[1e999]'::json": "[1e999]",
    "NULL::json": None,
    "'null'::jsonb": None,
    "'2026-01-02 03:04:05+00'::timestamptz": "2026-01-02 03:04:05+00",
    "'2026-01-02'::date": "2026-01-02",
    "'1 day 2 hours'::interval": "1 day 02:00:00",
    "'\\x00ff'::bytea": "\\x00ff",
    "ARRAY[1,2]": [1, 2],
    "int4range(1,3)": "[1,3)",
    "'[1,2,3]'::vector": "[1,2,3]",
    "'00000000-0000-0000-0000-000000000001'::uuid": "00000000-0000-0000-0000-000000000001",
    "ROW(1,'a')": "(1,a)",
    "'häß 漢字 🙂'": "häß 漢字 🙂",
    "''": "",
}


def test_every_type_is_json(api, project) -> None:
    columns = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(TYPES))
    (row,) = api.sql(project(), f"SELECT {columns}")
    assert list(row.values()) == list(TYPES.values())


def test_duplicate_column_names_are_numbered(api, project) -> None:
    (row,) = api.sql(project(), "SELECT 1 AS id, 2 AS id, 3 AS id_2, 4 AS id")
    assert row == {"id": 1, "id_3": 2, "id_2": 3, "id_4": 4} or sorted(row.values()) == [1, 2, 3, 4]
    assert row["id"] == 1
    assert row["id_2"] == 3


def test_parameters(api, project) -> None:
    project_id = project()
    query = "SELECT $1 + 1 AS number, $2 AS word, $3::jsonb AS doc, $4::bool AS yes, $5::int[] AS list, $6::int AS no"
    (row,) = api.sql(project_id, query, params=[1, "it's 100%", {"a": [1]}, True, [1, 2], None])
    assert row == {
        "number": 2,
        "word": "it's 100%",
        "doc": {"a": [1]},
        "yes": True,
        "list": [1, 2],
        "no": None,
    }
    assert api.sql(project_id, "SELECT '%s' AS a", params=[]) == [{"a": "%s"}]
    assert api.post(f"/{project_id}/sql", json={"query": "SELECT $1", "params": "x"}).status_code == 400
    wrong = api.post(f"/{project_id}/sql", json={"query": "SELECT $1", "params": []})
    assert wrong.json()["error"]["sqlstate"] == "42P02"


def test_errors_have_postgresqls_details(api, project) -> None:
    project_id = project()
    error = api.sql_error(project_id, "SELECT 'ü';\nSELEC 1")
    assert error["message"] == 'syntax error at or near "SELEC"'
    assert (error["sqlstate"], error["position"]) == ("42601", 13)
    body = "BEGIN RAISE EXCEPTION 'no' USING DETAIL = 'd', HINT = 'h', ERRCODE = '22012'; END"
    error = api.sql_error(project_id, f"DO $$ {body} $$")
    expected = {"message": "no", "sqlstate": "22012", "detail": "d", "hint": "h", "position": None}
    assert {name: error[name] for name in expected} == expected
    assert "inline_code_block" in error["where"]


@pytest.mark.parametrize("query", ["", " \n", None, 5, "SELECT '\x00'"])
def test_invalid_queries(api, untouched, query) -> None:
    response = api.post(f"/{untouched}/sql", json={"query": query})
    assert response.status_code == 400
    assert response.json()["error"]["code"] in ("query_empty", "field_invalid")


def test_calls_share_no_session_state(api, project) -> None:
    project_id = project()
    api.sql(project_id, "BEGIN; CREATE TABLE lost (a int)")
    assert api.sql(project_id, "SELECT to_regclass('lost') AS t") == [{"t": None}]
    api.sql(
        project_id, "SET search_path = nowhere; CREATE TEMP TABLE temporary (a int); PREPARE p AS SELECT 1"
    )
    api.sql(project_id, "SELECT pg_advisory_lock(7)")
    assert "public" in api.sql(project_id, "SHOW search_path")[0]["search_path"]
    assert api.sql(project_id, "SELECT to_regclass('temporary') AS t") == [{"t": None}]
    assert api.sql_error(project_id, "EXECUTE p")["sqlstate"] == "26000"
    assert api.sql(project_id, "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory'") == [{"n": 0}]
    for _ in range(12):
        assert api.sql(project_id, "SELECT 1 AS a") == [{"a": 1}]
    assert api.sql(project_id, "SHOW statement_timeout") == [{"statement_timeout": "5min"}]


def test_broken_sessions_are_replaced(api, project) -> None:
    project_id = project()
    api.sql(project_id, "CREATE TABLE t (a int)")
    for query in ("COPY t FROM STDIN", "SELECT 1; COPY t TO STDOUT", "BEGIN; SELECT 1/0"):
        code = "copy_not_supported" if "COPY" in query else "sql_error"
        assert api.sql_error(project_id, query, code)["statement"] == (1 if query.startswith("COPY") else 2)
        assert api.sql(project_id, "SELECT 1 AS a") == [{"a": 1}]
    lost = api.post(f"/{project_id}/sql", json={"query": "SELECT pg_terminate_backend(pg_backend_pid())"})
    assert lost.json()["success"] is False
    assert api.sql(project_id, "SELECT 1 AS a") == [{"a": 1}]
    api.sql(project_id, "SET client_encoding = 'LATIN1'; SELECT 'ü' AS a")
    assert api.sql(project_id, "SELECT 'ü' AS a") == [{"a": "ü"}]


def test_a_do_block_may_commit(api, project) -> None:
    project_id = project()
    error = api.sql_error(project_id, "DO $$ BEGIN CREATE TABLE kept (a int); COMMIT; PERFORM 1/0; END $$")
    assert error["sqlstate"] == "22012"
    assert api.sql(project_id, "SELECT to_regclass('kept') AS t") == [{"t": "kept"}]
    assert api.sql(project_id, "CREATE INDEX CONCURRENTLY ON kept (a)") == [{"result": "CREATE INDEX"}]


def test_concurrent_calls(api, project) -> None:
    ids = [project() for _ in range(3)]
    with ThreadPoolExecutor(60) as threads:
        calls = [(project_id, number) for project_id in ids for number in range(60)]
        query = "SELECT {} AS n FROM pg_sleep(0.02)"
        rows = list(threads.map(lambda call: api.sql(call[0], query.format(call[1])), calls))
    assert [row[0]["n"] for row in rows] == [number for _, number in calls]


def test_extensions_are_available(api, project) -> None:
    project_id = project()
    for extension in ("vector", '"uuid-ossp"', "pgcrypto"):
        assert api.sql(project_id, f"CREATE EXTENSION IF NOT EXISTS {extension}") == [
            {"result": "CREATE EXTENSION"}
        ]
    api.sql(project_id, "CREATE TABLE e (v vector(2)); CREATE INDEX ON e USING hnsw (v vector_cosine_ops)")
    assert api.sql(project_id, "SELECT '[1,0]'::vector <=> '[0,1]' AS d") == [{"d": 1}]
    assert api.sql(project_id, "SELECT crypt('a', gen_salt('bf')) LIKE '$2a$%' AS ok") == [{"ok": True}]


UUIDS = {
    # RFC 4122, appendix B, with its published correction; RFC 9562, appendix A.
    "uuid_generate_v3(uuid_ns_dns(), 'www.example.com')": "5df41881-3aed-3515-88a7-2f4a814cf09e",
    "uuid_generate_v5(uuid_ns_dns(), 'www.example.com')": "2ed6657d-e927-568b-95e1-2665a8aea6a2",
    "uuid_generate_v5(uuid_ns_url(), 'http://a.example/ü')": str(
        uuid.uuid5(uuid.NAMESPACE_URL, "http://a.example/ü")
    ),
    "uuid_nil()": "00000000-0000-0000-0000-000000000000",
    "uuid_ns_dns()": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "uuid_ns_url()": "6ba7b811-9dad-11d1-80b4-00c04fd430c8",
    "uuid_ns_oid()": "6ba7b812-9dad-11d1-80b4-00c04fd430c8",
    "uuid_ns_x500()": "6ba7b814-9dad-11d1-80b4-00c04fd430c8",
}


def test_uuid_ossp_known_values(api, project) -> None:
    project_id = project()
    for expression, expected in UUIDS.items():
        assert api.sql(project_id, f"SELECT {expression} AS u") == [{"u": expected}]
    for name in ("", "ü", "x" * 1000):
        (row,) = api.sql(project_id, "SELECT uuid_generate_v3(uuid_ns_oid(), $1) AS u", params=[name])
        assert row["u"] == str(uuid.uuid3(uuid.NAMESPACE_OID, name))


def test_uuid_ossp_generated_values(api, project) -> None:
    query = "SELECT uuid_generate_v1() AS one, uuid_generate_v1mc() AS mc, uuid_generate_v4() AS four"
    rows = api.sql(project(), query + " FROM generate_series(1, 2000)")
    for column, version in (("one", 1), ("mc", 1), ("four", 4)):
        values = [uuid.UUID(row[column]) for row in rows]
        assert len(set(values)) == 2000
        assert {(value.variant, value.version) for value in values} == {(uuid.RFC_4122, version)}
    value = uuid.UUID(rows[0]["one"])
    assert abs((value.time - 0x01B21DD213814000) / 1e7 - time.time()) < 60
    assert value.node >> 40 & 1
    assert len({uuid.UUID(row["one"]).node for row in rows}) == 1


def test_notices_are_returned_in_order(api, project) -> None:
    query = """CREATE TABLE IF NOT EXISTS n (id int); CREATE TABLE IF NOT EXISTS n (id int);
        DO $$ BEGIN RAISE NOTICE 'häß %', 1; RAISE WARNING 'w' USING HINT = 'do', DETAIL = 'd', ERRCODE = '01ABC';
        RAISE LOG 'not for users'; END $$; SELECT 1 AS a"""
    response = api.post(f"/{project()}/sql", json={"query": query}).json()
    assert response["rows"] == [{"a": 1}]
    first, second, third = response["notices"]
    assert (first["severity"], first["message"]) == ("NOTICE", 'relation "n" already exists, skipping')
    assert second == {
        "severity": "NOTICE",
        "message": "häß 1",
        "sqlstate": "00000",
        "detail": None,
        "hint": None,
        "where": "PL/pgSQL function inline_code_block line 1 at RAISE",
    }
    assert [third[key] for key in ("severity", "message", "sqlstate", "detail", "hint")] == [
        *("WARNING", "w", "01ABC", "d", "do")
    ]


def test_notices_before_an_error_are_in_the_error(api, project) -> None:
    query = "DO $$ BEGIN RAISE NOTICE 'so far'; PERFORM 1/0; END $$"
    error = api.post(f"/{project()}/sql", json={"query": query}).json()["error"]
    assert (error["sqlstate"], [one["message"] for one in error["notices"]]) == ("22012", ["so far"])


def test_many_notices_are_counted(api, project) -> None:
    query = "DO $$ BEGIN FOR i IN 1 .. 1500 LOOP RAISE NOTICE '%', i; END LOOP; END $$"
    response = api.post(f"/{project()}/sql", json={"query": query}).json()
    assert [one["message"] for one in response["notices"]] == [str(i) for i in range(1, 1001)]
    assert response["notices_omitted"] == 500


def test_a_transaction_that_is_left_open_is_reported(api, project) -> None:
    project_id = project()
    response = api.post(f"/{project_id}/sql", json={"query": "BEGIN; CREATE TABLE lost (id int)"}).json()
    assert [one["message"] for one in response["notices"]] == [
        "the call began a transaction and didn't end it, so it was rolled back"
    ]
    assert api.sql(project_id, "SELECT to_regclass('lost') AS t") == [{"t": None}]
    assert api.post(f"/{project_id}/sql", json={"query": "SELECT 1"}).json()["notices"] == []
