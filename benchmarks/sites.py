"""Real sites: deploy each one whole, plan again, and compare every file with what the platform serves.

    MOSAIC_TEST_SITES=FOLDER python benchmarks/sites.py

FOLDER has one folder per site; tests/corpora/test_sites.py says which. They aren't ours to ship.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import urllib.request
from pathlib import Path
from urllib.parse import quote

from bench import Bench, embedded_platform

STATIC_SUFFIXES = (
    ".html", ".css", ".js", ".json", ".txt", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".ico", ".webp",
)  # fmt: skip
"""Static hosting serves these; all other files go to storage."""


def measure(bench: Bench, sites: Path) -> None:
    print("\n| site | files | size | apply | plan, nothing changed | downloaded |")
    print("|---|---:|---:|---:|---:|---|")
    for site in sorted(each for each in sites.iterdir() if each.is_dir()):
        files = [
            file for file in site.rglob("*") if file.is_file() and "/." not in f"/{file.relative_to(site)}"
        ]
        project, folder = project_of(bench, site)
        applied = bench.mosaic_deploy("apply", "--yes", folder)
        planned = bench.mosaic_deploy("plan", "--detailed-exitcode", folder)
        base = f"{bench.platform.url}/sites/{project}"
        identical = sum(download(base, site, file) == file.read_bytes() for file in files)
        size = sum(file.stat().st_size for file in files)
        print(
            f"| {site.name} | {len(files):,} | {size / 1e6:.1f} MB | {applied.seconds:.1f} s | "
            f"{planned.seconds:.2f} s, {planned.requests} requests | {identical:,} identical |"
        )


def project_of(bench: Bench, site: Path) -> tuple[str, Path]:
    project, folder = bench.project(f"site-{site.name}", "static")
    shutil.rmtree(folder / "files")
    shutil.copytree(site, folder / "files")
    patterns = json.dumps([f"*{case}" for suffix in STATIC_SUFFIXES for case in (suffix, suffix.upper())])
    manifest = folder / "mosaic.yaml"
    text = manifest.read_text().replace(
        "static: {dir: files}", f"static: {{dir: files, include: {patterns}}}"
    )
    manifest.write_text(f"{text}storage: {{dir: files, exclude: {patterns}}}\n")
    return project, folder


def download(base: str, site: Path, file: Path) -> bytes:
    below = "" if file.suffix.lower() in STATIC_SUFFIXES else "/storage"
    with urllib.request.urlopen(f"{base}{below}/{quote(file.relative_to(site).as_posix())}") as response:
        content: bytes = response.read()
    return content


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with embedded_platform() as (platform, root):
        measure(Bench(platform, root), Path(os.environ["MOSAIC_TEST_SITES"]))


if __name__ == "__main__":
    main()
