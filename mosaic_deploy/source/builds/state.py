"""Whether a build's output is what the build would make now, and why not."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mosaic_deploy.errors import BuildOutputMissing
from mosaic_deploy.model.manifest import BuildSpec, Manifest, StaticSpec, StorageSpec
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.source.builds.digests import Digests, input_digests, output_digest
from mosaic_deploy.source.builds.record import BuildRecord, read_record
from mosaic_deploy.source.manifest.folders import is_inside
from mosaic_deploy.source.secrets.variables import is_credential_name

MAX_OWN_CHANGES = 3
"""Builds in a row that began because the same inputs had changed during the one before. Then the build changes them, nobody else."""
_OF_SESSION = frozenset(
    "_ COLORTERM COLUMNS DISPLAY LINES OLDPWD PWD SHLVL STY TERM TMUX TMUX_PANE WINDOWID".split()  # noqa: SIM905 - as `env` lists them
)
_OF_SESSION_PREFIXES = ("DBUS_", "GNOME_", "GPG_", "SSH_", "TERM_", "VSCODE_", "VTE_", "WAYLAND_", "XDG_")
"""Variables that differ between two terminals and that builds don't read."""


@dataclass(frozen=True, slots=True)
class BuildState:
    """A build's inputs now, and how they compare with the last build. `reason` to build is empty if there is none."""

    reason: str
    settings: dict[str, str]
    inputs: Digests
    is_missing: bool = False
    """Whether there is no output: the folder doesn't exist, or has no files."""
    last: BuildRecord | None = None
    """The last build, if nothing has changed since it ended, but inputs changed during it."""


def output_folder(manifest: Manifest, build: BuildSpec) -> str:
    """The output without links."""
    return os.path.realpath(manifest.root / build.output)


def build_environment(manifest: Manifest, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of a build: all but this program's credentials. MOSAIC_ENV is the chosen environment."""
    kept = {
        name: value
        for name, value in environ.items()
        if name != "MOSAIC_ENV" and not (name.upper().startswith("MOSAIC_") and is_credential_name(name))
    }
    return {**kept, "MOSAIC_ENV": manifest.environment} if manifest.environment else kept


def read_state(manifest: Manifest, build: BuildSpec) -> BuildState:
    """Compares what is on disk with the last build."""
    output = output_folder(manifest, build)
    record, built = read_record(output), output_digest(output)
    state = BuildState("", _settings(manifest, build), input_digests(manifest, build), is_missing=not built)
    if not built:
        return replace(state, reason=_missing_text(output, build))
    if record is None:
        return replace(state, reason=f"no build of {build.output} is recorded here")
    if reason := _difference(build, state, record, built):
        return replace(state, reason=reason)
    changed = _changed(record.inputs, state.inputs)
    during = state.inputs == record.inputs_after
    if not changed or (during and record.own_changes >= MAX_OWN_CHANGES):
        return state
    return replace(state, reason=f"{_names_text(changed)} changed", last=record if during else None)


def _difference(build: BuildSpec, state: BuildState, record: BuildRecord, built: str) -> str:
    """What but the inputs differs from the last build; empty if nothing does. `built` is the output's digest."""
    for name, value in state.settings.items():
        if record.settings.get(name) != value:
            return f"{name} changed since the last build"
    return "" if record.output == built else f"{build.output} was changed since it was built"


def record_of(state: BuildState, manifest: Manifest, build: BuildSpec) -> BuildRecord:
    """The record of a build that began in `state` and has just succeeded."""
    after = input_digests(manifest, build)
    output = output_digest(output_folder(manifest, build))
    changed, last, own_changes = _changed(state.inputs, after), state.last, 0
    if last and changed == _changed(last.inputs, last.inputs_after):
        own_changes = last.own_changes + 1
    return BuildRecord(state.settings, state.inputs, after, output, own_changes)


def own_changes_notice(record: BuildRecord) -> str:
    """Says that the build changes its own inputs, once it is sure; else empty."""
    changed = _changed(record.inputs, record.inputs_after)
    if record.own_changes != MAX_OWN_CHANGES or not changed:
        return ""
    return (
        f"the build changes its own inputs: {_names_text(changed)}; it isn't repeated for that. List what it reads in "
        "build.inputs, or what it writes in .gitignore"
    )


def without_output(manifest: Manifest) -> Manifest:
    """The manifest without the static and storage files that the build hasn't made yet."""
    build = manifest.build
    if build is None or output_digest(output := output_folder(manifest, build)):
        return manifest

    def is_made(spec: StaticSpec | StorageSpec | None) -> bool:
        return spec is not None and is_inside(os.path.realpath(manifest.root / spec.dir), output)

    if is_made(manifest.static):
        manifest = replace(manifest, static=None)
    return replace(manifest, storage=None) if is_made(manifest.storage) else manifest


def without_unknown_files(manifest: Manifest) -> Manifest:
    """As `without_output`; also without storage files if the site's are in storage, too, and aren't known yet."""
    found = without_output(manifest)
    return found if found is manifest or not manifest.site_uses_storage else replace(found, storage=None)


def missing_output_error(manifest: Manifest, build: BuildSpec, *, built: bool = False) -> BuildOutputMissing:
    """The error that there are no files to deploy; `built`: although the build has succeeded."""
    text = _missing_text(output_folder(manifest, build), build)
    there = manifest.root / build.dir / build.output
    if built and build.dir != "." and there.is_dir():
        path = os.path.normpath(f"{build.dir}/{build.output}")
        hint = f"paths are relative to the manifest: build.output: {path}"
    elif built:
        hint = "build.output must be the folder that build.command fills"
    else:
        hint = "`mosaic-deploy plan` builds it, unless --no-build is given"
    after = ", although build.command succeeded" if built else ""
    return BuildOutputMissing(f"{text}{after}", hint=hint, location=manifest.locate("build.output"))


def build_notes(manifest: Manifest) -> Iterator[Note]:
    """A note if the files aren't, or may not be, what the build would make now."""
    if manifest.build is None:
        return
    state = read_state(manifest, manifest.build)
    output = manifest.build.output
    if state.is_missing:
        yield Note("not_built", f"{output} isn't built yet, so its files aren't checked", Severity.INFO)
    elif state.reason:
        message = f"{output} is taken as it is, and may be out of date: {state.reason}"
        yield Note("not_built", message, Severity.WARNING)


def _missing_text(output: str, build: BuildSpec) -> str:
    return f"{build.output} {'has no files' if os.path.isdir(output) else 'does not exist'}"  # noqa: PTH112


def _settings(manifest: Manifest, build: BuildSpec) -> dict[str, str]:
    environ = build_environment(manifest)
    kept = {
        name: value
        for name, value in environ.items()
        if name not in _OF_SESSION and not name.startswith(_OF_SESSION_PREFIXES)
    }
    text = json.dumps(kept, sort_keys=True)
    return {
        "build.command": json.dumps(build.command),
        "build.dir": os.path.realpath(manifest.root / build.dir),
        "the environment": hashlib.sha256(text.encode()).hexdigest(),
    }


def _changed(before: Digests, now: Digests) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _names_text(names: list[str]) -> str:
    more = len(names) - 1
    first = names[0] if names[0].isprintable() else ascii(names[0])
    return f"{first} and {count_text(more, 'more file')}" if more else first
