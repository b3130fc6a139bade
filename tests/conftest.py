"""Fixtures for all tests: one embedded platform per test process, and projects on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from started_platform import (
    RunningPlatform,
    create_project,
    drop_databases,
    hide_projects,
    prepare_for_tests,
    run_platform,
)

from mosaic_deploy.platform.machine.ports import free_port

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests with & ignores SIGINT, and subprocesses would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# So does nohup with SIGHUP.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The tests start the program hundreds of times; without cached bytecode each start compiles all of it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A rehearsal takes longer than a plan. Tests about it ask for it.
os.environ["MOSAIC_REHEARSE"] = "0"

# Few examples and no deadline, for busy machines.
settings.register_profile("no_deadline", deadline=None, max_examples=60)
settings.load_profile("no_deadline")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Several processes for the whole suite or a folder, whose tests mostly wait; one process for named files or tests."""
    return (os.cpu_count() or 1) + 1 if _runs_folders(config) else 0


def _runs_folders(config: pytest.Config) -> bool:
    return config.args_source is not pytest.Config.ArgsSource.ARGS or any(map(os.path.isdir, config.args))


# Inherited by the processes that run the tests.
_SHARED_PLATFORMS = "MOSAIC_TEST_PLATFORMS"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive", action="store_true", help="run all cases of each kind, not a sample of them"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the cases marked `exhaustive`, except with the option and in files and tests that are named."""
    if config.getoption("--exhaustive") or not _runs_folders(config):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "exhaustive: one of many cases of a kind (tests/sampling.py)")
    if not hasattr(config, "workerinput"):
        os.environ[_SHARED_PLATFORMS] = tempfile.mkdtemp(prefix="mosaic-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shared = Path(os.environ[_SHARED_PLATFORMS])
        with ThreadPoolExecutor(2) as threads:
            reset = threads.map(lambda home: run_platform(home, "reset")["exit_code"], shared.iterdir())
            assert set(reset) <= {0}
        shutil.rmtree(shared)


@pytest.fixture(scope="session")
def platform_with() -> Callable[[str], RunningPlatform]:
    """An embedded platform whose SQL endpoint behaves as a value of MOSAIC_LOCAL_SQL says; all test processes share it."""

    def start(sql_modes: str) -> RunningPlatform:
        home = Path(os.environ[_SHARED_PLATFORMS]) / (sql_modes or "plain")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MOSAIC_LOCAL_SQL", sql_modes)
            document = run_platform(home, "start", "--port", str(free_port()))
        assert document["exit_code"] == 0, document
        prepare_for_tests(home)
        return RunningPlatform(document["url"], document["api_key"], home)

    return start


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    home = tmp_path_factory.mktemp("mosaic home")
    document = run_platform(home, "start", "--port", str(free_port()))
    assert document["exit_code"] == 0, document
    prepare_for_tests(home)
    running = RunningPlatform(document["url"], document["api_key"], home)
    _OWN_PLATFORM.append(running)
    yield running
    _DROPPING.shutdown(cancel_futures=True)
    # Reset stops it, and deletes what is outside the temporary folder if root runs the tests.
    assert run_platform(home, "reset")["exit_code"] == 0


_OWN_PLATFORM: list[RunningPlatform] = []
_DROPPING = ThreadPoolExecutor(1)


@pytest.fixture(scope="module", autouse=True)
def projects_of_other_modules() -> None:
    """There are none on this process's own platform."""
    for running in _OWN_PLATFORM:
        # While the module's tests run. They use other databases.
        _DROPPING.submit(drop_databases, running.home, hide_projects(running.home))


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests don't use the cache of the user who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MOSAIC_CACHE", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def project(platform: RunningPlatform) -> Callable[..., str]:
    """Creates a project, waits until it is running, and returns its ID."""

    def create(name: str = "Test") -> str:
        return create_project(platform.url, platform.api_key, name)

    return create


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The files of a self-signed certificate for localhost, and of its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = str(folder / "key.pem"), str(folder / "cert.pem")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return certificate, key
