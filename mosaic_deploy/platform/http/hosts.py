"""The URLs of the platform and of project sites, and which of them a Host header names."""

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
    """The platform is at `url`, a project's site at `{project_id}.{domain}`. `port` is empty or like `:8787`."""

    scheme: str
    domain: str
    port: str
    platform_names: tuple[str, ...]
    url: str
    # On a user's machine, foreign names that resolve to it (DNS rebinding) must not even reach the health check.
    strict: bool = True

    def site_url(self, project_id: str) -> str:
        return f"{self.scheme}://{project_id}.{self.domain}{self.port}"

    def project_id_from_host(self, host: str) -> str | None:
        """The project a Host header names; None for the platform itself. Raises Fault (421) for other hosts."""
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
        raise Fault(421, "host_not_served", f"host {host!r} isn't served here; use {served}")


def local_hosts(port: int) -> Hosts:
    return Hosts("http", "localhost", f":{port}", _OWN_HOSTS, f"http://127.0.0.1:{port}")


def domain_hosts(base_domain: str) -> Hosts:
    """For `example.com`: https://api.example.com and https://{id}.example.com. A scheme and a port are optional.

    Raises ProcessFault if it isn't a domain.
    """
    found = _DOMAIN.fullmatch(base_domain.lower())
    if found is None:
        raise ProcessFault(
            "base_domain_invalid",
            f"invalid base domain: {base_domain!r}",
            "for example: --base-domain mosaic.example.com, or http://localhost:8787 to try it out",
        )
    scheme, domain, port = found[1] or "https", found[2], found[3] or ""
    api = f"api.{domain}"
    return Hosts(scheme, domain, port, (api, domain), f"{scheme}://{api}{port}", strict=False)
