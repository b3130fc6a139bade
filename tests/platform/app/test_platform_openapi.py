"""schemas/openapi.yaml matches the platform: operations, error codes, limits, and schemathesis' checks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from behind_the_api import with_control_pool
from started_platform import create_project

from mosaic_deploy.platform.accounts import accounts
from mosaic_deploy.platform.app import server
from mosaic_deploy.platform.app.routes import API, OPERATIONS
from mosaic_deploy.platform.hosting import static
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.postgres import connections, databases
from mosaic_deploy.platform.sql import execute
from mosaic_deploy.platform.storage import uploads

ROOT = Path(__file__).parents[3]
OPENAPI = ROOT / "schemas" / "openapi.yaml"
DOCUMENT = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
MIB = 1024 * 1024
METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}
CONFIG = Path(__file__).parent / "schemathesis.toml"


def test_routes_discovery_and_openapi_have_the_same_paths(api) -> None:
    routes = {(one.method, one.path) for one in OPERATIONS}
    discovered = {(one["method"], one["path"]) for one in api.get("").json()["endpoints"]}
    assert discovered == routes
    described = {
        (method.upper(), path)
        for path, methods in DOCUMENT["paths"].items()
        for method in methods.keys() & METHODS
        if path.startswith(API)
    }
    assert described == routes


def test_operations_have_the_same_names_and_summaries() -> None:
    for one in OPERATIONS:
        described = DOCUMENT["paths"][one.path][one.method.lower()]
        assert described["operationId"] == one.name
        assert described["summary"] == one.description


def test_no_key_is_written_twice() -> None:
    def check(node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value]
            assert len(names) == len(set(names)), f"line {node.start_mark.line + 1}"
        for child in node.value if isinstance(node, yaml.CollectionNode) else ():
            for each in child if isinstance(child, tuple) else (child,):
                check(each)

    check(yaml.compose(OPENAPI.read_text(encoding="utf-8")))


def test_every_operation_with_a_body_can_time_out() -> None:
    for one in OPERATIONS:
        described = DOCUMENT["paths"][one.path][one.method.lower()]
        assert ("requestBody" in described) == ("408" in described["responses"]), one.name


def test_a_suspended_database_is_a_response_of_sql() -> None:
    suspended = {"$ref": "#/components/responses/Suspended"}
    assert [
        one.name
        for one in OPERATIONS
        if DOCUMENT["paths"][one.path][one.method.lower()]["responses"].get("429") == suspended
    ] == ["run_sql"]


def test_every_error_code_is_listed() -> None:
    """Pages, inbox, drafts and rehearsals belong to one machine's user, sites to browsers, not to the API."""
    beside = {
        "origin_refused",
        "not_your_pages",
        "email_not_found",
        "draft_gone",
        "rehearsal_gone",
        "database_in_use",
        "object_missing",
    }
    raised = set()
    for path in (ROOT / "mosaic_deploy" / "platform").rglob("*.py"):
        if "dashboard" in path.parts:
            continue
        raised |= set(
            re.findall(r"(?<!Process)Fault\(\s*\d+,\s*\"([a-z_]+)\"", path.read_text(encoding="utf-8"))
        )
    assert set(DOCUMENT["components"]["schemas"]["ErrorCode"]["enum"]) == raised - beside


def test_documented_limits_match_the_code() -> None:
    info = " ".join(DOCUMENT["info"]["description"].split())
    assert f"{request_body.JSON_LIMIT // MIB} MiB and {request_body.DEPTH_LIMIT} levels" in info
    assert f"larger than {server.HEAD_LIMIT // 1024} KiB" in info
    assert f"valid for {accounts.KEY_GRACE_PERIOD.days} more days" in info
    assert f"rotate every {accounts.KEY_LIFETIME.days} days" in info
    described = DOCUMENT["paths"][f"{API}/{{project_id}}/sql"]["post"]["description"]
    limits = execute.CallLimits()
    assert f"{request_body.JSON_LIMIT // MIB} MiB; {execute.PARAMETER_LIMIT:,} params" in described
    assert f"| {limits.result_bytes // MIB} MiB as JSON" in described
    assert f"| {connections.STATEMENT_TIMEOUT_MS // 60_000} minutes (`statement_timeout`" in described
    assert f"| {limits.seconds / 60:g} minutes, else 400 `call_timeout`" in described
    assert f"| {connections.PROJECT_LIMIT} calls per project;" in described
    params = DOCUMENT["components"]["schemas"]["Query"]["properties"]["params"]
    assert params["maxItems"] == execute.PARAMETER_LIMIT
    credentials = DOCUMENT["paths"][f"{API}/{{project_id}}/credentials"]["get"]["description"]
    assert f"{databases.ROLE_CONNECTION_LIMIT} connections" in credentials
    upload = DOCUMENT["components"]["schemas"]["UploadUrl"]["properties"]["expires_in"]
    assert upload["const"] == uploads.LIFETIME_SECONDS
    files = DOCUMENT["paths"][f"{API}/{{project_id}}/files"]["post"]["description"]
    assert f"At most {static.SIZE_LIMIT // MIB} MiB" in files


@pytest.fixture(scope="module")
def stranger(platform) -> dict[str, str]:
    """The API key of a separate account, so that its projects don't affect other tests."""
    made = with_control_pool(platform, lambda pool: accounts.create_account(pool, "Schema", "free"))
    return {"X-API-Key": str(made["api_key"])}


def test_operations_match_the_schema(platform, stranger, tmp_path) -> None:
    """With an existing project, so that bodies are rejected only because of their content."""
    project_id = create_project(platform.url, stranger["X-API-Key"], "Described")
    fixed = tmp_path / "schemathesis.toml"
    fixed.write_text(f'{CONFIG.read_text()}\n[parameters]\n"path.project_id" = "{project_id}"\n')
    without_deletion = ["--exclude-operation-id", "delete_project"]
    _run(platform.url, stranger, fixed, "--phases", "examples,coverage,fuzzing", *without_deletion)


def test_sequences_of_operations_match_the_schema(platform, stranger, tmp_path) -> None:
    chosen = Path(shutil.copy(CONFIG, tmp_path))
    _run(platform.url, stranger, chosen, "--phases", "stateful", "--max-examples", "40")


def _run(url: str, headers: dict[str, str], config: Path, *options: str) -> None:
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "--no-color", "run", str(OPENAPI),
        "--url", url, *options,
    ]  # fmt: skip
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    # It keeps state in its working folder and reads it at the next run.
    done = subprocess.run(
        command, cwd=config.parent, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
