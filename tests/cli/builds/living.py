"""Whether a process of a build still runs."""

from __future__ import annotations

from pathlib import Path


def is_alive(pid: int) -> bool:
    """False also for one that has ended and that nobody has waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
