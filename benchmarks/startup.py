"""What users feel before anything happens: process start, as a ratio of `python -c pass` in the same run.

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
    """Median over runs that take turns with nothing else of ours."""
    taken = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def main() -> None:
    program = shutil.which("mosaic-deploy", path=str(Path(sys.executable).parent)) or "mosaic-deploy"
    floor = milliseconds([sys.executable, "-c", "pass"])
    print(f"| | ms | against `python -c pass` |\n|---|---:|---:|\n| `python -c pass` | {floor:.1f} | 1.0× |")
    for arguments in (["--version"], ["validate", str(EXAMPLES / "todo")], ["--help"]):
        found = milliseconds([program, *arguments])
        shown = " ".join(argument.replace(f"{EXAMPLES}/", "examples/") for argument in arguments)
        print(f"| `mosaic-deploy {shown}` | {found:.1f} | {found / floor:.1f}× |")


if __name__ == "__main__":
    main()
