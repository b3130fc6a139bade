"""Builds what a manifest's `build` makes, if that is needed. `--build` and `--no-build` decide otherwise."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli.builds.lock import build_lock
from mosaic_deploy.cli.builds.process import Ended, run_command
from mosaic_deploy.cli.options import F
from mosaic_deploy.errors import BuildFailed, UsageInvalid
from mosaic_deploy.model.quantities import duration_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mosaic_deploy.cli.render.build_report import BuildReport
    from mosaic_deploy.model.manifest import BuildSpec, Manifest
    from mosaic_deploy.source.builds.state import BuildState

_TAIL = 15
"""Lines of the output in an error."""


class When(Enum):
    """When to build: if needed, if there is no output at all, always, or never."""

    NEEDED = "needed"
    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


def build_option(command: F) -> F:
    """`--build` and `--no-build`, as `build_wanted`: None without them."""
    text = "Run build.command even if nothing changed, or not at all (default: if its inputs changed)."
    return click.option("--build/--no-build", "build_wanted", default=None, help=text)(command)


def when_wanted(wanted: bool | None, default: When = When.NEEDED) -> When:
    """When to build, by the option."""
    return default if wanted is None else When.ALWAYS if wanted else When.NEVER


def ensure_built(manifest: Manifest, when: When, report: BuildReport) -> bool:
    """Builds, or checks that there is an output; whether it has built. Waits for another build of the same output.

    Raises BuildFailed, BuildOutputMissing, ManifestInvalid if the output can't be deployed, UsageInvalid, KeyboardInterrupt.
    """
    build = manifest.build
    if build is None:
        if when is When.ALWAYS:
            raise UsageInvalid(f"--build: {manifest.file.name} has no build", hint="add a build section")
        return False
    # Hashing files takes imports that manifests without a build don't need.
    from mosaic_deploy.source.builds import state as states

    if when is When.NEVER:
        if states.without_output(manifest) is not manifest:
            raise states.missing_output_error(manifest, build)
        return False
    output = states.output_folder(manifest, build)
    with build_lock(output, build.output, build.timeout, lambda: report.waiting(build.output)):
        state = states.read_state(manifest, build)
        if when is When.ALWAYS or (state.is_missing if when is When.MISSING else state.reason):
            _build(manifest, build, state, report)
            return True
        return False


def _build(manifest: Manifest, build: BuildSpec, state: BuildState, report: BuildReport) -> None:
    from mosaic_deploy.source.builds import state as states
    from mosaic_deploy.source.builds.record import write_record
    from mosaic_deploy.source.manifest.read import read_manifest

    command, reason = command_text(build), state.reason or "--build"
    report.began(command, reason)
    ended = _run(manifest, build, states.build_environment(manifest), report)
    record = states.record_of(state, manifest, build)
    if not record.output:
        raise states.missing_output_error(manifest, build, built=True)
    # What the build made may be links out of the project.
    read_manifest(manifest.file, environment=manifest.environment, built=True)
    write_record(states.output_folder(manifest, build), record)
    report.ended(command, reason, ended.seconds)
    if notice := states.own_changes_notice(record):
        report.warning(notice)


def _run(manifest: Manifest, build: BuildSpec, environ: Mapping[str, str], report: BuildReport) -> Ended:
    """Runs the command. Raises BuildFailed."""
    try:
        folder = Path(manifest.root, build.dir)
        ended = run_command(build.command, folder, environ, build.timeout, report.line)
    except OSError as error:
        raise _failed(manifest, build, f"can't be started: {error.strerror}", ()) from None
    finally:
        report.over()
    if ended.code == 0:
        return ended
    report.failed(ended.lines)
    if ended.code is None:
        after = f"was ended after {duration_text(build.timeout)}, the limit in build.timeout"
    elif ended.code < 0:
        after = f"was ended by signal {-ended.code}"
    else:
        after = f"ended with exit code {ended.code}"
    raise _failed(manifest, build, after, () if report.shows_output else ended.lines)


def _failed(manifest: Manifest, build: BuildSpec, what: str, lines: tuple[str, ...]) -> BuildFailed:
    tail = "".join(f"\n  {line}" for line in lines[-_TAIL:])
    hint = "it ran in the manifest's folder" if build.dir == "." else f"it ran in {build.dir}"
    if "exit code 127" in what:
        hint = f"{hint}; exit code 127 says that a program wasn't found: install it, or correct build.command"
    return BuildFailed(
        f"the build failed: `{command_text(build)}` {what}{':' if tail else ''}{tail}",
        hint=hint,
        location=manifest.locate("build.command"),
    )


def command_text(build: BuildSpec) -> str:
    """The command as one line."""
    text = build.command if isinstance(build.command, str) else shlex.join(build.command)
    first, *more = text.strip().splitlines() or [""]
    return f"{first} …" if more else first
