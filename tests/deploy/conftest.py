"""A project folder on disk that is deployed to the real embedded platform."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import yaml

from mosaic_deploy import deploy
from mosaic_deploy.deploy import ApplyOptions, PlanOptions, PreparedPlan, Target
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.projects import read_projects
from mosaic_deploy.live.api.transport import loopback_target
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Event
from mosaic_deploy.source.manifest.read import read_manifest

_numbers = itertools.count(1)
OPTIONS = ApplyOptions(holder="tests", retry_command="mosaic-deploy apply", lock_wait=0.0)


@dataclass
class Site:
    """A project folder with its account. Every site has its own project name."""

    root: Path
    api: Api
    name: str

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def manifest(self, **sections: object) -> None:
        whole = {"version": 1, "project": {"name": self.name}, **sections}
        self.write("mosaic.yaml", yaml.safe_dump(whole, allow_unicode=True))

    def plan(self, api: Api | None = None, options: PlanOptions | None = None) -> PreparedPlan:
        manifest = read_manifest(self.root, environ={})
        target = Target(manifest.project.id, manifest.project.name)
        return deploy.plan(api or self.api, manifest, target, options or PlanOptions())

    def events(
        self, planned: PreparedPlan | None = None, api: Api | None = None, **options: object
    ) -> Iterator[Event]:
        chosen = replace(OPTIONS, **options)  # type: ignore[arg-type]
        return deploy.apply(api or self.api, planned or self.plan(api), chosen)

    def run(
        self, planned: PreparedPlan | None = None, api: Api | None = None, **options: object
    ) -> list[Event]:
        return list(self.events(planned, api, **options))

    def apply(self, **options: object) -> ApplyDone:
        """Applies, and asserts that the next plan is empty."""
        last = self.run(**options)[-1]
        assert isinstance(last, ApplyDone), getattr(last, "error", last)
        again = self.plan()
        assert again.plan.changes == ()
        return last

    def fails(self, **options: object) -> ApplyFailed:
        last = self.run(**options)[-1]
        assert isinstance(last, ApplyFailed), last
        return last

    def deploy_sql(self, text: str) -> Site:
        """Applies the text as the first migration."""
        self.write("sql/1_live.sql", text)
        self.manifest(database={"migrations": "sql"})
        self.apply()
        return self

    @property
    def project_id(self) -> str:
        """Looked up by the name each time, because tests also delete the project and make it again."""
        [found] = [one.id for one in read_projects(self.api) if one.name == self.name]
        return found

    def sql(self, query: str) -> list[dict[str, object]]:
        return self.api.sql(self.project_id, query)

    def get(self, path: str) -> httpx.Response:
        url, headers = loopback_target(self.plan().plan.project.url + path)
        return httpx.get(url, headers=headers)


@pytest.fixture
def api(platform) -> Iterator[Api]:
    with Api(platform.url, ApiKey(platform.api_key)) as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "site"
    root.mkdir()
    return Site(root, api, f"site {next(_numbers)} {tmp_path.name}")


@pytest.fixture
def api_over(platform) -> Iterator[Callable[[httpx.BaseTransport], Api]]:
    """Makes an Api with a given transport."""
    made: list[Api] = []

    def make(transport: httpx.BaseTransport) -> Api:
        made.append(Api(platform.url, ApiKey(platform.api_key), transport=transport, sleep=lambda _: None))
        return made[-1]

    yield make
    for one in made:
        one.close()
