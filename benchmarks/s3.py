"""SeaweedFS as an S3 service on this machine, with one bucket."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

BUCKET = "bench"


@contextmanager
def s3_service(folder: Path) -> Iterator[dict[str, str]]:
    """Runs it in `folder`, and yields the environment variables for its clients."""
    program = Path(sys.prefix) / "bin" / "weed"
    folder.mkdir(parents=True)
    key, secret = "AKIABENCH", "secret"
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    (folder / "data").mkdir()
    options = ["-volume.max=20", "-master.volumeSizeLimitMB=64", "-filer", "-s3", "-s3.config=s3.json"]
    unused = ["-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command = [program, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", *options, *unused]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *(f"-{name}={port}" for name, port in ports.items())],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{ports['s3.port']}"
    try:
        wait_for(f"{url}/status")
        shell = [program, "shell", f"-master=127.0.0.1:{ports['master.port']}.{ports['master.port.grpc']}"]
        subprocess.run(
            shell, input=f"s3.bucket.create -name {BUCKET}\n", text=True, capture_output=True, check=True
        )
        yield {
            "AWS_ENDPOINT_URL": url,
            "S3_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(url):
                return
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
