"""Process start, compared with `python -c pass` in the same run.

python benchmarks/startup.py
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
_TIMES = 31


def milliseconds(command: list[str]) -> float:
    """Median of several runs."""
    durations = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        durations.append((time.perf_counter() - started) * 1000)
    return statistics.median(durations)


def main() -> None:
    program = shutil.which("mosaic-deploy", path=str(Path(sys.executable).parent)) or "mosaic-deploy"
    baseline = milliseconds([sys.executable, "-c", "pass"])
    print(
        f"| | ms | compared with `python -c pass` |\n|---|---:|---:|\n| `python -c pass` | {baseline:.1f} | 1.0× |"
    )
    for arguments in (["--version"], ["validate", str(EXAMPLES / "todo")], ["--help"]):
        duration = milliseconds([program, *arguments])
        shown = " ".join(argument.replace(f"{EXAMPLES}/", "examples/") for argument in arguments)
        print(f"| `mosaic-deploy {shown}` | {duration:.1f} | {duration / baseline:.1f}× |")


if __name__ == "__main__":
    main()
