"""Small static files, assets and a long ledger, against curl sending the same requests, and against rclone and s5cmd.

    python benchmarks/files.py [--only small|parallelism|assets|large|ledger|sites]

Runs everything on an embedded platform of its own, in one go, so that the ratios hold whatever the machine is
doing. The floor is `curl --parallel` with the same bodies to the same server, as many at a time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from latency import delayed
from migrations import ROUND_TRIP, Platform, start
from s3 import BUCKET, s3_service

SMALL = 5000
ASSETS, ASSET = 1000, 64 * 1024
SIDE_BY_SIDE = 16
SUPERUSER = "mosaic"
SERVED = (".html", ".css", ".js", ".json", ".txt", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".ico", ".webp")
GB = 2**30


@dataclass(frozen=True)
class Ran:
    """A command that has ended: wall time, largest resident memory in bytes, requests the platform logged."""

    seconds: float
    memory: int
    requests: int


class Bench:
    def __init__(self, platform: Platform, root: Path) -> None:
        self.platform = platform
        self.root = root
        self._log = platform.home / "platform.log"

    def project(self, name: str, section: str) -> tuple[str, Path]:
        """A new project's id, and a folder with a manifest for it."""
        self.platform.new_database(name)
        listed = self.platform.call("GET", "/projects")["projects"]
        [found] = [p["project_id"] for p in listed if p["name"] == name]
        folder = self.root / name
        (folder / "files").mkdir(parents=True)
        manifest = f"version: 1\nproject: {{name: {name}, id: {found}}}\n{section}: {{dir: files}}\n"
        (folder / "mosaic.yaml").write_text(manifest)
        return found, folder

    def run(self, command: list[str | Path], port: int = 0, settings: dict[str, str] | None = None) -> Ran:
        settings = {
            **(settings or {}),
            "MOSAIC_API_URL": f"http://127.0.0.1:{port or self.platform.port}",
            "MOSAIC_API_KEY": self.platform.key,
            "XDG_CACHE_HOME": str(self.root / "cache"),
        }
        before = self._requests()
        began = time.perf_counter()
        with (self.root / "output").open("wb") as output:
            child = subprocess.Popen(command, env={**os.environ, **settings}, stdout=output, stderr=output)
            _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{command}: {(self.root / 'output').read_text()[-2000:]}")
        return Ran(seconds, used.ru_maxrss * 1024, self._requests() - before)

    def ours(self, *arguments: str | Path, port: int = 0) -> Ran:
        return self.run([sys.executable, "-m", "mosaic_deploy", *arguments], port)

    def best(self, *arguments: str | Path, times: int = 5) -> Ran:
        return sorted((self.ours(*arguments) for _ in range(times)), key=lambda ran: ran.seconds)[times // 2]

    def _requests(self) -> int:
        count = 0
        for file in self._log.parent.glob(f"{self._log.name}*"):  # it is rotated
            with file.open("rb") as log:
                count += sum(b"/v1/project" in line or b" PUT /upload" in line for line in log)
        return count


def write_small(folder: Path, count: int, seed: int) -> None:
    words = random.Random(seed)
    for number in range(count):
        text = "".join(words.choices("abcdefghij klmnop\n", k=words.randint(200, 2000)))
        (folder / f"{number % 50}").mkdir(exist_ok=True)
        (folder / f"{number % 50}/file-{number}.txt").write_text(text)


def curl_uploads(bench: Bench, project: str, folder: Path) -> Ran:
    """The same uploads by curl: the bodies lie ready on disk."""
    bodies = bench.root / f"bodies-{project}"
    bodies.mkdir()
    config = []
    for number, file in enumerate(sorted((folder / "files").rglob("*.txt"))):
        name = file.relative_to(folder / "files").as_posix()
        body = bodies / str(number)
        body.write_text(json.dumps({"filename": name, "content": file.read_text()}))
        config += [
            f'url = "{bench.platform.url}/v1/project/{project}/files"',
            f'header = "X-API-Key: {bench.platform.key}"',
            'header = "Content-Type: application/json"',
            f'data-binary = "@{body}"',
            f'output = "{os.devnull}"',
            "next",
        ]
    listed = bench.root / f"curl-{project}"
    listed.write_text("\n".join(config[:-1]))
    many = ["--parallel", "--parallel-max", str(SIDE_BY_SIDE), "--no-progress-meter", "--fail"]
    return bench.run(["curl", *many, "--config", listed])


def small(bench: Bench) -> None:
    first, floors = [], []
    folder = Path()
    for turn in range(3):
        _, folder = bench.project(f"small-{turn}", "static")
        write_small(folder / "files", SMALL, turn)
        first.append(bench.ours("apply", "--yes", folder))
        other, _ = bench.project(f"curl-{turn}", "static")
        floors.append(curl_uploads(bench, other, folder))
    floor = statistics.median(ran.seconds for ran in floors)
    apply = sorted(first, key=lambda ran: ran.seconds)[1]
    nothing = bench.best("plan", folder)
    (folder / "files/7/file-7.txt").write_text("changed")
    changed = bench.ours("apply", "--yes", folder)
    started = bench.best("--version")
    rows = {
        f"curl --parallel, {SIDE_BY_SIDE} at a time": Ran(floor, floors[0].memory, floors[0].requests),
        "mosaic-deploy apply, everything new": apply,
        "mosaic-deploy apply, one file changed": changed,
        "mosaic-deploy plan, nothing changed": nothing,
        "mosaic-deploy --version": started,
    }
    print(f"\n### {SMALL:,} small static files\n")
    print("| | seconds | against curl | requests | memory |\n|---|---:|---:|---:|---:|")
    for name, ran in rows.items():
        ratio = f"{ran.seconds / floor:.2f}×"
        print(f"| {name} | {ran.seconds:.2f} | {ratio} | {ran.requests:,} | {ran.memory / 1e6:.0f} MB |")


def parallelism(bench: Bench) -> None:
    _, folder = bench.project("parallelism", "static")
    choices = (1, 2, 4, 8, 16, 32)

    def files_per_second(count: int, chosen: int, port: int) -> float:
        shutil.rmtree(folder / "files")
        (folder / "files").mkdir()
        write_small(folder / "files", count, random.randrange(10**9))
        ran = bench.ours("apply", "--yes", "--parallelism", str(chosen), folder, port=port)
        return count / ran.seconds

    print("\n### Files per second by --parallelism\n")
    print(f"| | {' | '.join(map(str, choices))} |\n|---|{'---:|' * len(choices)}")
    near = [files_per_second(2000, n, bench.platform.port) for n in choices]
    print(f"| 2,000 files, loopback | {' | '.join(f'{rate:.0f}' for rate in near)} |")
    with delayed(bench.platform.port, ROUND_TRIP) as port:
        far = [files_per_second(400, n, port) for n in choices]
    print(f"| 400 files, 80 ms round trip | {' | '.join(f'{rate:.0f}' for rate in far)} |")


def storage_files(bench: Bench) -> None:
    """The same files into storage, and by rclone and s5cmd into an S3 service on this machine.

    The services aren't the same: ours signs URLs, keeps quotas and records each object in PostgreSQL.
    """
    _, folder = bench.project("assets", "storage")
    rows = {}
    with s3_service(bench.root / "s3") as service:
        commands: dict[str, list[str | Path]] = {
            "mosaic-deploy apply": [sys.executable, "-m", "mosaic_deploy", "apply", "--yes", folder],
        }
        if s5cmd := shutil.which("s5cmd"):
            many = ["--numworkers", str(SIDE_BY_SIDE)]
            commands["s5cmd sync"] = [s5cmd, *many, "sync", f"{folder / 'files'}/*", f"s3://{BUCKET}/s5cmd/"]
        if rclone := shutil.which("rclone"):
            options = [
                "--s3-provider",
                "SeaweedFS",
                "--s3-env-auth",
                "--s3-endpoint",
                service["AWS_ENDPOINT_URL"],
            ]
            many = ["--transfers", str(SIDE_BY_SIDE), "--checkers", str(SIDE_BY_SIDE)]
            target = f":s3:{BUCKET}/rclone"
            commands["rclone sync"] = [rclone, "sync", *many, *options, folder / "files", target]
        found: dict[str, list[list[Ran]]] = {name: [[], []] for name in commands}
        for turn in range(3):
            write_assets(folder / "files", turn)
            for name, command in commands.items():
                for ran in found[name]:
                    ran.append(bench.run(command, settings=service))
        for name, (everything, nothing) in found.items():
            rows[name] = middle(everything), middle(nothing)
    ours = rows["mosaic-deploy apply"][0].seconds
    print(f"\n### {ASSETS:,} assets of {ASSET // 1024} KiB\n")
    print("| | all sent | against ours | nothing changed | memory |\n|---|---:|---:|---:|---:|")
    for name, (sent, nothing) in rows.items():
        ratio = f"{sent.seconds / ours:.2f}×"
        print(
            f"| {name} | {sent.seconds:.2f} | {ratio} | {nothing.seconds:.2f} | {sent.memory / 1e6:.0f} MB |"
        )


def write_assets(folder: Path, seed: int) -> None:
    """The same names with other bytes for each `seed`."""
    words = random.Random(seed)
    for number in range(ASSETS):
        (folder / f"{number:04}.bin").write_bytes(words.randbytes(ASSET))


def middle(ran: list[Ran]) -> Ran:
    return sorted(ran, key=lambda one: one.seconds)[len(ran) // 2]


def sites(bench: Bench) -> None:
    """Real sites, a folder each in $MOSAIC_TEST_SITES (tests/corpora/test_sites.py says which): all of it deployed,
    nothing left to do, and every file fetched back the same."""
    places = sorted(each for each in Path(os.environ["MOSAIC_TEST_SITES"]).iterdir() if each.is_dir())
    print(
        "\n| site | files | size | apply | plan, nothing changed | fetched back |\n|---|---:|---:|---:|---:|---|"
    )
    for place in places:
        files = [
            file for file in place.rglob("*") if file.is_file() and "/." not in f"/{file.relative_to(place)}"
        ]
        project, folder = bench.project(f"site-{place.name}", "static")
        shutil.rmtree(folder / "files")
        shutil.copytree(place, folder / "files")
        patterns = json.dumps([f"*{case}" for suffix in SERVED for case in (suffix, suffix.upper())])
        with (folder / "mosaic.yaml").open("a") as manifest:
            manifest.write(f"storage: {{dir: files, exclude: {patterns}}}\n")
        text = (folder / "mosaic.yaml").read_text()
        text = text.replace("static: {dir: files}", f"static: {{dir: files, include: {patterns}}}")
        (folder / "mosaic.yaml").write_text(text)
        first = bench.ours("apply", "--yes", folder)
        nothing = bench.ours("plan", "--detailed-exitcode", folder)
        base = f"{bench.platform.url}/sites/{project}"
        same = sum(fetched(base, place, file) == file.read_bytes() for file in files)
        size = sum(file.stat().st_size for file in files)
        print(
            f"| {place.name} | {len(files):,} | {size / 1e6:.1f} MB | {first.seconds:.1f} s | "
            f"{nothing.seconds:.2f} s, {nothing.requests} requests | {same:,} the same |"
        )


def fetched(base: str, place: Path, file: Path) -> bytes:
    below = "" if file.suffix.lower() in SERVED else "/storage"
    with urllib.request.urlopen(f"{base}{below}/{quote(file.relative_to(place).as_posix())}") as answer:
        content: bytes = answer.read()
    return content


def resident(pid: int) -> int:
    """The largest resident memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def large(bench: Bench) -> None:
    project, folder = bench.project("large", "storage")
    file = folder / "files/large.bin"
    with file.open("wb") as made:
        made.truncate(2 * GB)
        made.seek(GB)
        made.write(b"not only zeros")
    pid = json.loads((bench.platform.home / "platform.json").read_text())["pid"]
    applied = bench.ours("apply", "--yes", folder)
    path = f"/{project}/storage/upload"
    asked = bench.platform.call("POST", path, {"filename": "floor.bin", "size": file.stat().st_size})
    curl = bench.run(["curl", "--no-progress-meter", "--fail", "-T", file, asked["upload_url"]])
    nothing = bench.best("plan", folder, times=3)
    print("\n### One asset of 2 GiB\n\n| | seconds | against curl | memory |\n|---|---:|---:|---:|")
    rows = {"curl -T": curl, "mosaic-deploy apply": applied, "mosaic-deploy plan, nothing changed": nothing}
    for name, ran in rows.items():
        ratio = f"{ran.seconds / curl.seconds:.2f}×"
        print(f"| {name} | {ran.seconds:.2f} | {ratio} | {ran.memory / 1e6:.0f} MB |")
    print(f"\nThe embedded platform's own largest memory: {resident(pid) / 1e6:.0f} MB.")


_PLAN = """
import resource, sys, time
from mosaic_deploy.live.client import Api, ApiKey
from mosaic_deploy.live.read import read_live
from mosaic_deploy.live import ledger
from mosaic_deploy.model.snapshot import Object, Project, Snapshot, objects_digest
from mosaic_deploy.diff.plan import Rules, make_plan
url, key, project, count = sys.argv[1:]
wanted = {}
for n in range(int(count)):
    path = f"folder-{n % 1000}/file-{n:07}.txt"
    wanted[path] = Object(path, f"{n:064x}", 600)
memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
before = memory()
desired = Snapshot(Project(project, "ledger"), static=wanted)
with Api(url, ApiKey(key)) as api:
    began = time.perf_counter()
    api.sql(project, ledger.read({"static": objects_digest(wanted)}))
    alone = time.perf_counter() - began
    began = time.perf_counter()
    live = read_live(api, desired.project, desired)
    plan = make_plan(desired, live.snapshot, Rules())
    seconds = time.perf_counter() - began
    assert not plan.changes, plan.changes[:3]
    print(f"{alone:.2f} {seconds:.2f} {before:.0f} {memory():.0f} {api.traffic.requests - 1}")
"""


def ledger(bench: Bench) -> None:
    """A no-op plan of so many files, without the walk over them: both sides read, compared, nothing to do."""
    print("\n### A plan without changes over a long ledger\n")
    print("| rows | digest | the ledger alone | the plan | memory before | with the plan | requests |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for count in (10_000, 100_000, 1_000_000):
        project, folder = bench.project(f"ledger-{count}", "static")
        (folder / "files/first.txt").write_text("x")
        bench.ours("apply", "--yes", folder)
        fill(bench, project, count)
        for digest in ("computed", "kept"):
            command = [
                sys.executable,
                "-c",
                _PLAN,
                bench.platform.url,
                bench.platform.key,
                project,
                str(count),
            ]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            alone, seconds, before, after, requests = told
            print(
                f"| {count:,} | {digest} | {alone} s | {seconds} s | {before} MB | {after} MB | {requests} |"
            )
            if digest == "computed":
                (folder / "files/first.txt").write_text("y")
                keep = (
                    "UPDATE mosaic_deploy.sums SET sum = '" + wanted_digest(count) + "' WHERE kind = 'static'"
                )
                bench.platform.call("POST", f"/{project}/sql", {"query": keep})


def wanted_digest(count: int) -> str:
    paths = sorted((f"folder-{n % 1000}/file-{n:07}.txt", n) for n in range(count))
    digest = hashlib.sha256()
    for path, n in paths:
        digest.update(f"{path}\n{n:064x}\n600\nlive\n".encode())
    return digest.hexdigest()


def fill(bench: Bench, project: str, count: int) -> None:
    """The ledger's rows and the platform's records, as so many deploys would have left them."""
    series = f"generate_series(0, {count - 1}) n"
    path = "'folder-' || n % 1000 || '/file-' || lpad(n::text, 7, '0') || '.txt'"
    rows = (
        "DELETE FROM mosaic_deploy.objects; INSERT INTO mosaic_deploy.objects (kind, path, sha256, size, state, deploy_id)"
        f" SELECT 'static', {path}, lpad(to_hex(n), 64, '0'), 600, 'live', 'd' FROM {series}; ANALYZE mosaic_deploy.objects"
    )
    bench.platform.call("POST", f"/{project}/sql", {"query": rows})
    psql = [bench.platform.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", control_url(bench.platform), "-c"]
    records = (
        f"DELETE FROM static_file WHERE project_id = '{project}'; INSERT INTO static_file (project_id, filename, size,"
        f" content_type, etag, object) SELECT '{project}', {path}, 600, 'text/plain', 'e', 'o' FROM {series}"
    )
    subprocess.run([*psql, records], check=True, capture_output=True)


def control_url(platform: Platform) -> str:
    state = json.loads((platform.home / "state.json").read_text())
    password = state.get("postgres_password", "")
    return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{platform.postgres_port}/mosaic_control"


PARTS = {
    "small": small,
    "parallelism": parallelism,
    "assets": storage_files,
    "large": large,
    "ledger": ledger,
    "sites": sites,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    # Sites aren't ours to ship.
    chosen = parser.parse_args().only or [part for part in PARTS if part != "sites"]
    root = Path(tempfile.mkdtemp(prefix="mosaic-benchmark-"))
    platform = start(root / "home")
    try:
        for part in chosen:
            PARTS[part](Bench(platform, root))
    finally:
        environment = {**os.environ, "MOSAIC_HOME": str(platform.home)}
        stop = [sys.executable, "-m", "mosaic_deploy.platform", "reset"]
        subprocess.run(stop, env=environment, capture_output=True, check=False)
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
