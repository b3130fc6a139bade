"""Names in URLs: where the platform and the projects' sites are reached, and which of them a Host header means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mosaic_deploy.platform.faults import Fault, ProcessFault

_OWN_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_DOMAIN = re.compile(
    r"(?:(https?)://)?((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)(:[0-9]{1,5})?/?"
)


@dataclass(frozen=True)
class Hosts:
    """The platform is at `url`; a project's site is a label before `domain`. `port` is empty or `:8787`."""

    scheme: str
    domain: str
    port: str
    platform_names: tuple[str, ...]
    url: str
    # On one machine a stranger's name that resolves to it (DNS rebinding) must not reach even the health check.
    strict: bool = True

    def site_url(self, project_id: str) -> str:
        return f"{self.scheme}://{project_id}.{self.domain}{self.port}"

    def project_id_from_host(self, host: str) -> str | None:
        """The project a Host header names, None for the platform itself; a Fault with 421 for other hosts."""
        name = host.lower()
        if not name.endswith("]"):
            head, colon, port = name.rpartition(":")
            if colon and port.isdecimal():
                name = head
        name = name.removesuffix(".")
        if name in self.platform_names:
            return None
        label = name.removesuffix(f".{self.domain}")
        if label != name and label and "." not in label:
            return label
        served = ", ".join([*self.platform_names[:2], f"*.{self.domain}"])
        raise Fault(421, "host_not_served", f"only {served} are served here")


def local_hosts(port: int) -> Hosts:
    return Hosts("http", "localhost", f":{port}", _OWN_HOSTS, f"http://127.0.0.1:{port}")


def domain_hosts(base_domain: str) -> Hosts:
    """`example.com` is served as https://api.example.com and https://{id}.example.com; a scheme and a port may be given."""
    found = _DOMAIN.fullmatch(base_domain.lower())
    if found is None:
        raise ProcessFault(
            "base_domain_invalid",
            f"{base_domain!r} is not a domain",
            "e.g. --base-domain mosaic.example.com, or http://localhost:8787 for a trial",
        )
    scheme, domain, port = found[1] or "https", found[2], found[3] or ""
    api = f"api.{domain}"
    return Hosts(scheme, domain, port, (api, domain), f"{scheme}://{api}{port}", strict=False)
