"""Host headers of the platform and of sites, and projects' database URLs."""

from __future__ import annotations

import pytest

from mosaic_deploy.platform.faults import Fault, ProcessFault
from mosaic_deploy.platform.http.hosts import domain_hosts, local_hosts
from mosaic_deploy.platform.postgres.server import Server


@pytest.mark.parametrize(
    ("base", "api", "site"),
    [
        ("example.com", "https://api.example.com", "https://pod-16f.example.com"),
        ("Mosaic.Example.com/", "https://api.mosaic.example.com", "https://pod-16f.mosaic.example.com"),
        ("http://localhost:8787", "http://api.localhost:8787", "http://pod-16f.localhost:8787"),
        ("https://example.com:8443", "https://api.example.com:8443", "https://pod-16f.example.com:8443"),
    ],
)
def test_a_base_domain(base, api, site) -> None:
    hosts = domain_hosts(base)
    assert (hosts.url, hosts.site_url("pod-16f")) == (api, site)


@pytest.mark.parametrize(
    "base", ["", "a b", "ftp://x", "example.com/path", "-a.com", "user@example.com", "*.x"]
)
def test_invalid_base_domains(base) -> None:
    with pytest.raises(ProcessFault) as error:
        domain_hosts(base)
    assert error.value.code == "base_domain_invalid"


@pytest.mark.parametrize(
    ("host", "project_id"),
    [
        ("api.example.com", None),
        ("API.Example.COM:443", None),
        ("example.com", None),
        ("api.example.com.", None),
        ("pod-16f.example.com", "pod-16f"),
        ("POD-16F.example.com:8787", "pod-16f"),
    ],
)
def test_served_hosts(host, project_id) -> None:
    assert domain_hosts("example.com").project_id_from_host(host) == project_id


@pytest.mark.parametrize(
    "host",
    ["", "evil.com", "a.b.example.com", ".example.com", "xexample.com", "example.com.evil.com", "127.0.0.1"],
)
def test_foreign_hosts_are_rejected(host) -> None:
    with pytest.raises(Fault) as error:
        domain_hosts("example.com").project_id_from_host(host)
    assert (error.value.status, error.value.code) == (421, "host_not_served")


def test_local_hosts() -> None:
    hosts = local_hosts(8787)
    assert hosts.url == "http://127.0.0.1:8787"
    assert hosts.project_id_from_host("[::1]:8787") is None
    assert hosts.project_id_from_host("pod-16f.localhost:8787") == "pod-16f"
    assert hosts.strict


@pytest.mark.parametrize(
    ("url", "public", "expected"),
    [
        ("postgresql://o:x@db:6000/postgres", "", "postgresql://t:pw@db:6000/t"),
        ("postgresql://o:x@db", "", "postgresql://t:pw@db:5432/t"),
        ("postgresql://o:x@db/p?sslmode=require", "", "postgresql://t:pw@db:5432/t?sslmode=require"),
        ("host=db user=o password=x", "", "postgresql://t:pw@db:5432/t"),
        ("postgresql://o:x@db", "public.example.com", "postgresql://t:pw@public.example.com:5432/t"),
        ("postgresql://o:x@db", "public.example.com:6000", "postgresql://t:pw@public.example.com:6000/t"),
        (
            "postgresql://o:x@db1:1,db2:2/postgres?target_session_attrs=read-write",
            "",
            "postgresql://t:pw@db1:1,db2:2/t?target_session_attrs=read-write",
        ),
        ("postgresql://o:x@[::1]:6000/postgres", "", "postgresql://t:pw@[::1]:6000/t"),
    ],
)
def test_a_projects_database_url(url, public, expected) -> None:
    server = Server.from_url(url, public_host=public)
    assert server.project_url("t", "pw") == expected
    assert "x" not in server.project_url("t", "pw").partition("@")[0]


@pytest.mark.parametrize(
    "url", ["", "nonsense", "postgresql:///postgres", "postgresql://%2Ftmp/x", "host=/tmp"]
)
def test_invalid_database_urls(url) -> None:
    with pytest.raises(ProcessFault) as error:
        Server.from_url(url)
    assert error.value.code == "database_url_invalid"
