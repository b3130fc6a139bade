"""PostgreSQL, an S3 service and an account for the tests of served platforms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import DOMAIN, Services, postgres_server, s3_service


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    # Not below pytest's own folder: PostgreSQL's user must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="mosaic served ") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres_server(folder / "postgres") as url, s3_service(folder / "s3") as aws:
            environment = {
                **os.environ,
                **aws,
                "MOSAIC_DATABASE_URL": url,
                "MOSAIC_SMTP_URL": "smtp://127.0.0.1:9/?from=no-reply@example.com",
            }
            arguments = ("--store", "s3://mosaic/bytes", "--base-domain", f"http://{DOMAIN}")
            yield Services(environment, "s3://mosaic/bytes", arguments)


@pytest.fixture(scope="module")
def key(services) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mosaic_deploy", "platform", "account", "create", "Ann", "--tier", "pro", "-o", "json"],
        env=services.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["api_key"])
