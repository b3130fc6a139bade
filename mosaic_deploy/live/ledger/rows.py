"""SQL that writes rows of the tracking tables.

Each text is one statement that checks the lease and may be sent twice. It returns `held` (0 if the lease is lost)
and `written`, the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.model.manifest_identity import ManifestNames, same_names
from mosaic_deploy.model.snapshot import VERSION, Object
from mosaic_deploy.sql.execution.records import packed_source
from mosaic_deploy.sql.quote import json_literal, literal, recordset


def upsert_objects_sql(
    kind: str,
    objects: Iterable[Object],
    token: str,
    deploy_id: str,
    manifest: str = "",
    *,
    proofs: Mapping[str, str] = MappingProxyType({}),
    sources: Mapping[str, str] | None = None,
    reopen: bool = False,
) -> str:
    """Inserts or updates the objects' rows. `manifest` identifies the manifest that deploys them; `proofs`, and `sources`,
    the texts of repeatable files, are by path.

    What this deploy has marked as live stays live, because a request that marks it as pending may arrive late. With
    `reopen` it becomes pending.
    """
    late = (
        ""
        if reopen
        else " WHERE (o.deploy_id, o.state, EXCLUDED.state) <> (EXCLUDED.deploy_id, 'live', 'pending')"
    )
    facts = [
        {
            "p": o.path,
            "h": o.sha256,
            "s": o.size,
            "t": str(o.state),
            "f": proofs.get(o.path, ""),
            "b": o.size_before,
            **({"c": packed_source(sources[o.path])} if sources else {}),
        }
        for o in objects
    ]
    columns = ["sha256", "size", "state", "proof", "size_before", "manifest", "deploy_id", "updated_at"]
    given, text = "p text, h text, s bigint, t text, f text, b bigint", ""
    if sources:
        columns.append("source")
        given, text = f"{given}, c text", ", pg_catalog.decode(r.c, 'base64')"
    updated = ", ".join([*(f"{name} = EXCLUDED.{name}" for name in columns), "retired_at = NULL"])
    return (
        f"WITH {lease_held_cte(token)}, written AS ("
        f"INSERT INTO mosaic_deploy.objects AS o (kind, path, {', '.join(columns)}) "
        f"SELECT '{kind}', r.p, r.h, r.s, r.t, r.f, r.b, {literal(manifest)}, {literal(deploy_id)}, pg_catalog.clock_timestamp(){text} "
        f"FROM held, {recordset(facts, given)} "
        f"ON CONFLICT (kind, path) DO UPDATE SET {updated}{late} RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def write_proofs_sql(
    kind: str, objects: Iterable[Object], proofs: Mapping[str, str], manifest: str, token: str
) -> str:
    """Writes the proofs, by path, into those of the objects' rows that have their content. Changes nothing else."""
    facts = [{"p": o.path, "h": o.sha256, "f": proofs[o.path]} for o in objects]
    return (
        f"WITH {lease_held_cte(token)}, written AS ("
        f"UPDATE mosaic_deploy.objects o SET proof = r.f, manifest = {literal(manifest)} "
        f"FROM held, {recordset(facts, 'p text, h text, f text')} WHERE o.kind = '{kind}' AND o.path = r.p "
        f"AND o.sha256 = r.h AND {named_sql('o.manifest', same_names(manifest))} AND o.proof <> r.f RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def keep_objects_sql(kind: str, paths: Iterable[str], token: str) -> str:
    """Marks rows as `kept` and leaves their proofs. Of a pending one it isn't known which content is live."""
    return (
        f"WITH {lease_held_cte(token)}, written AS (UPDATE mosaic_deploy.objects SET state = 'kept', "
        f"sha256 = CASE state WHEN 'pending' THEN '' ELSE sha256 END WHERE kind = '{kind}' AND state <> 'kept' "
        "AND EXISTS (SELECT FROM held) AND path IN (SELECT pg_catalog.json_array_elements_text("
        f"{json_literal(list(paths))}::json)) RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


RETIRED_AT = (
    "CASE WHEN retired_at > '2000-01-01Z'::pg_catalog.timestamptz "
    "AND retired_at < pg_catalog.clock_timestamp() + '1 day'::pg_catalog.interval THEN retired_at END AS retired_at"
)
"""When a row was retired; null for times that no deploy has written: the database's role can write anything, also infinity."""


def retire_objects_sql(kind: str, paths: Iterable[str], token: str) -> str:
    """Marks rows as `kept`, to be deleted after a while, and leaves their proofs. The time counts from the first such mark."""
    return (
        f"WITH {lease_held_cte(token)}, written AS (UPDATE mosaic_deploy.objects SET state = 'kept', "
        "retired_at = COALESCE(retired_at, pg_catalog.clock_timestamp()) "
        f"WHERE kind = '{kind}' AND state IN ('live', 'kept') "
        "AND EXISTS (SELECT FROM held) AND path IN (SELECT pg_catalog.json_array_elements_text("
        f"{json_literal(list(paths))}::json)) RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def delete_objects_sql(kind: str, paths: Iterable[str], token: str) -> str:
    """Deletes rows of objects that are no longer live."""
    return (
        f"WITH {lease_held_cte(token)}, written AS (DELETE FROM mosaic_deploy.objects WHERE kind = '{kind}' "
        "AND EXISTS (SELECT FROM held) AND path IN (SELECT pg_catalog.json_array_elements_text("
        f"{json_literal(list(paths))}::json)) RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def write_setting_sql(name: str, value: object, token: str, deploy_id: str) -> str:
    """Writes the row `name` of the settings table."""
    return (
        f"WITH {lease_held_cte(token)}, written AS ("
        "INSERT INTO mosaic_deploy.settings (name, value, deploy_id, updated_at) "
        f"SELECT {literal(name)}, {json_literal(value)}::jsonb, {literal(deploy_id)}, "
        "pg_catalog.clock_timestamp() FROM held ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, "
        "deploy_id = EXCLUDED.deploy_id, updated_at = EXCLUDED.updated_at RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def named_sql(column: str, names: ManifestNames) -> str:
    """Whether the manifest in `column` is one of `names`."""
    listed = ", ".join(literal(name) for name in names.exact)
    prefixes = (f"pg_catalog.starts_with({column}, {literal(prefix)})" for prefix in names.prefixes)
    return f"({' OR '.join([f'{column} IN ({listed})', *prefixes])})"


def lease_held_cte(token: str) -> str:
    """The CTE `held`: one row while the lease with this token is valid.

    The statement first waits for other writers, and then locks the lease: so it can't be taken over between this check
    and the commit.
    """
    return (
        "waited AS MATERIALIZED (SELECT 1 FROM mosaic_deploy.sums ORDER BY kind FOR UPDATE), "
        f"held AS MATERIALIZED (SELECT 1 FROM mosaic_deploy.lease WHERE token = {literal(token)} "
        "AND expires_at > pg_catalog.clock_timestamp() AND (SELECT count(*) FROM waited) >= 0 FOR SHARE)"
    )


def save_digests_cte(condition: str) -> str:
    """The CTE `summed`: saves the digests of kinds whose rows have changed, so plans needn't compute them.

    A changed edition means that rows were changed concurrently; then nothing is saved.
    """
    return (
        "summed AS (UPDATE mosaic_deploy.sums AS kept SET sum = found.sum FROM ("
        f"SELECT s.kind, s.edition, ({digest_query('s.kind')}) AS sum FROM mosaic_deploy.sums s WHERE s.sum IS NULL"
        f") AS found WHERE kept.kind = found.kind AND kept.edition = found.edition AND {condition})"
    )


def recorded_version(version: object) -> str:
    """A version as read. Raises ResponseInvalid for one that no deploy has recorded: commands to paste have it."""
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise ResponseInvalid(f"the tracking tables have an unusable version of a migration: {version!r}")
    return version


def digest_query(kind: str) -> str:
    """Computes the digest of a kind's rows. `kind` is an SQL expression.

    Rows of files left live aren't included, because it is compared with the digest of the desired files.
    """
    return (
        "SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(COALESCE(pg_catalog.string_agg("
        "o.path || E'\\n' || o.sha256 || E'\\n' || o.size || E'\\n' || o.state || E'\\n', '' "
        "ORDER BY o.path COLLATE \"C\"), ''), 'UTF8')), 'hex') "
        f"FROM mosaic_deploy.objects o WHERE o.kind = {kind} AND o.state <> 'kept'"
    )
