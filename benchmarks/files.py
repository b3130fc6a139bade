"""Static and storage files, compared with curl sending the same requests, and with rclone and s5cmd.

    python benchmarks/files.py [--only small|parallelism|storage|large]

Everything runs on one embedded platform in one go, so the ratios hold even on a busy machine. The baseline is
`curl --parallel` with the same bodies to the same server and the same number of concurrent requests.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
from pathlib import Path

from bench import ROUND_TRIP, Bench, Measured, embedded_platform, median
from latency import delayed
from s3 import BUCKET, s3_service

SMALL_FILES = 5000
STORAGE_FILES, STORAGE_FILE_SIZE = 1000, 64 * 1024
CONCURRENT = 16
GIB = 2**30


def write_small_files(folder: Path, count: int, seed: int) -> None:
    generator = random.Random(seed)
    for number in range(count):
        text = "".join(generator.choices("abcdefghij klmnop\n", k=generator.randint(200, 2000)))
        (folder / f"{number % 50}").mkdir(exist_ok=True)
        (folder / f"{number % 50}/file-{number}.txt").write_text(text)


def upload_with_curl(bench: Bench, project: str, folder: Path) -> Measured:
    """The same uploads; the bodies are prepared on disk."""
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
    config_file = bench.root / f"curl-{project}"
    config_file.write_text("\n".join(config[:-1]))
    options = ["--parallel", "--parallel-max", str(CONCURRENT), "--no-progress-meter", "--fail"]
    return bench.run(["curl", *options, "--config", config_file])


def small(bench: Bench) -> None:
    applied, uploaded = [], []
    folder = Path()
    for turn in range(3):
        _, folder = bench.project(f"small-{turn}", "static")
        write_small_files(folder / "files", SMALL_FILES, turn)
        applied.append(bench.mosaic_deploy("apply", "--yes", folder))
        other, _ = bench.project(f"curl-{turn}", "static")
        uploaded.append(upload_with_curl(bench, other, folder))
    baseline = median(uploaded)
    unchanged = bench.median_of("plan", folder)
    (folder / "files/7/file-7.txt").write_text("changed")
    rows = {
        f"curl --parallel, {CONCURRENT} at a time": baseline,
        "mosaic-deploy apply, all files new": median(applied),
        "mosaic-deploy apply, one file changed": bench.mosaic_deploy("apply", "--yes", folder),
        "mosaic-deploy plan, nothing changed": unchanged,
        "mosaic-deploy --version": bench.median_of("--version"),
    }
    print(f"\n### {SMALL_FILES:,} small static files\n")
    print("| | seconds | compared with curl | requests | memory |\n|---|---:|---:|---:|---:|")
    for name, run in rows.items():
        ratio = f"{run.seconds / baseline.seconds:.2f}×"
        print(f"| {name} | {run.seconds:.2f} | {ratio} | {run.requests:,} | {run.memory / 1e6:.0f} MB |")


def parallelism(bench: Bench) -> None:
    _, folder = bench.project("parallelism", "static")
    choices = (1, 2, 4, 8, 16, 32)

    def files_per_second(count: int, chosen: int, port: int) -> float:
        shutil.rmtree(folder / "files")
        (folder / "files").mkdir()
        write_small_files(folder / "files", count, random.randrange(10**9))
        run = bench.mosaic_deploy("apply", "--yes", "--parallelism", str(chosen), folder, port=port)
        return count / run.seconds

    print("\n### Files per second by --parallelism\n")
    print(f"| | {' | '.join(map(str, choices))} |\n|---|{'---:|' * len(choices)}")
    near = [files_per_second(2000, n, bench.platform.port) for n in choices]
    print(f"| 2,000 files, loopback | {' | '.join(f'{rate:.0f}' for rate in near)} |")
    with delayed(bench.platform.port, ROUND_TRIP) as port:
        far = [files_per_second(400, n, port) for n in choices]
    print(f"| 400 files, 80 ms round trip | {' | '.join(f'{rate:.0f}' for rate in far)} |")


def storage(bench: Bench) -> None:
    """The same files to the platform's storage, and by rclone and s5cmd to an S3 service on this machine.

    The services do different work: the platform signs URLs, enforces quotas and records each object in PostgreSQL.
    """
    _, folder = bench.project("storage", "storage")
    rows = {}
    with s3_service(bench.root / "s3") as service:
        commands = storage_commands(folder, service["AWS_ENDPOINT_URL"])
        runs: dict[str, tuple[list[Measured], list[Measured]]] = {name: ([], []) for name in commands}
        for turn in range(3):
            write_storage_files(folder / "files", turn)
            for name, command in commands.items():
                for measured in runs[name]:
                    measured.append(bench.run(command, settings=service))
        for name, (everything, unchanged) in runs.items():
            rows[name] = median(everything), median(unchanged)
    baseline = rows["mosaic-deploy apply"][0].seconds
    print(f"\n### {STORAGE_FILES:,} storage files of {STORAGE_FILE_SIZE // 1024} KiB\n")
    print(
        "| | all sent | compared with mosaic-deploy | nothing changed | memory |\n|---|---:|---:|---:|---:|"
    )
    for name, (sent, unchanged) in rows.items():
        ratio = f"{sent.seconds / baseline:.2f}×"
        print(
            f"| {name} | {sent.seconds:.2f} | {ratio} | {unchanged.seconds:.2f} | {sent.memory / 1e6:.0f} MB |"
        )


def storage_commands(folder: Path, endpoint: str) -> dict[str, list[str | Path]]:
    """By name; s5cmd and rclone only if they are installed."""
    commands: dict[str, list[str | Path]] = {
        "mosaic-deploy apply": [sys.executable, "-m", "mosaic_deploy", "apply", "--yes", folder],
    }
    if s5cmd := shutil.which("s5cmd"):
        workers = ["--numworkers", str(CONCURRENT)]
        commands["s5cmd sync"] = [s5cmd, *workers, "sync", f"{folder / 'files'}/*", f"s3://{BUCKET}/s5cmd/"]
    if rclone := shutil.which("rclone"):
        options = ["--s3-provider", "SeaweedFS", "--s3-env-auth", "--s3-endpoint", endpoint]
        workers = ["--transfers", str(CONCURRENT), "--checkers", str(CONCURRENT)]
        target = f":s3:{BUCKET}/rclone"
        commands["rclone sync"] = [rclone, "sync", *workers, *options, folder / "files", target]
    return commands


def write_storage_files(folder: Path, seed: int) -> None:
    """The same names with other bytes for each `seed`."""
    generator = random.Random(seed)
    for number in range(STORAGE_FILES):
        (folder / f"{number:04}.bin").write_bytes(generator.randbytes(STORAGE_FILE_SIZE))


def large(bench: Bench) -> None:
    project, folder = bench.project("large", "storage")
    file = folder / "files/large.bin"
    with file.open("wb") as output:
        output.truncate(2 * GIB)
        output.seek(GIB)
        output.write(b"not only zeros")
    pid = json.loads((bench.platform.home / "platform.json").read_text())["pid"]
    applied = bench.mosaic_deploy("apply", "--yes", folder)
    upload = {"filename": "curl.bin", "size": file.stat().st_size}
    url = bench.platform.call("POST", f"/{project}/storage/upload", upload)["upload_url"]
    curl = bench.run(["curl", "--no-progress-meter", "--fail", "-T", file, url])
    unchanged = bench.median_of("plan", folder, times=3)
    print(
        "\n### One storage file of 2 GiB\n\n| | seconds | compared with curl | memory |\n|---|---:|---:|---:|"
    )
    rows = {"curl -T": curl, "mosaic-deploy apply": applied, "mosaic-deploy plan, nothing changed": unchanged}
    for name, run in rows.items():
        ratio = f"{run.seconds / curl.seconds:.2f}×"
        print(f"| {name} | {run.seconds:.2f} | {ratio} | {run.memory / 1e6:.0f} MB |")
    print(f"\nPeak memory of the embedded platform: {peak_memory(pid) / 1e6:.0f} MB.")


def peak_memory(pid: int) -> int:
    """Peak resident memory of a running process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


PARTS = {"small": small, "parallelism": parallelism, "storage": storage, "large": large}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    chosen = parser.parse_args().only or PARTS
    with embedded_platform() as (platform, root):
        for part in chosen:
            PARTS[part](Bench(platform, root))


if __name__ == "__main__":
    main()
