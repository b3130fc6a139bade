"""`storage put`: the files to upload, and the plan of it."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.deploy.storage.patterns import is_glob
from mosaic_deploy.deploy.storage.stored import Stored
from mosaic_deploy.diff.limits import quota_notes
from mosaic_deploy.diff.policy import apply_policy
from mosaic_deploy.errors import (
    ApiError,
    Location,
    Problem,
    SecretFound,
    SourceRefused,
    SourceUnreadable,
    StorageFileManaged,
)
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.rate_limit import DEFAULT_PARALLELISM
from mosaic_deploy.live.compare_bytes import EtagCache, read_digest
from mosaic_deploy.model.change import Action, PutStorageFile
from mosaic_deploy.model.plan import Note, Plan
from mosaic_deploy.model.quantities import count_text, size_text
from mosaic_deploy.model.snapshot import NOTHING_LIVE, Object
from mosaic_deploy.source.files.digests import HashCounter, OnHashed
from mosaic_deploy.source.files.digests import read_digest as read_file_digest
from mosaic_deploy.source.files.folder import SelectedFiles, read_files
from mosaic_deploy.source.files.gitignore import FileSelection
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.names import path_problem
from mosaic_deploy.source.files.secrets import secret_problems
from mosaic_deploy.source.files.stat_cache import StatCache
from mosaic_deploy.source.files.walk import WalkedFile

_EVERYTHING = ("**",)
_MAX_NAMES = 10


@dataclass(frozen=True, slots=True)
class Sources:
    """The files to upload by their names in storage, and what was left out of folders."""

    files: dict[str, LocalFile]
    notes: tuple[Note, ...] = ()


def read_sources(
    paths: Sequence[str], to: str, on_hashed: OnHashed, *, recursive: bool, allow_secrets: bool
) -> Sources:
    """The files at `paths`, hashed. A file gets the name `to`, or its own below `to` if that is empty or ends with a slash.

    Files of a folder keep their paths below it. Raises SourceUnreadable, SourceRefused and SecretFound.
    """
    found: dict[str, LocalFile] = {}
    secrets: list[Problem] = []
    notes: list[Note] = []
    problems: list[Problem] = []
    unreadable: list[Problem] = []
    chosen = list(_expanded(paths))
    keeps_names = to == "" or to.endswith("/")
    if not keeps_names and (len(chosen) > 1 or any(Path(path).is_dir() for path in chosen)):
        raise SourceRefused(
            f"--to {to} names a single file",
            hint=f"for several files, write --to {to}/ with a slash at the end",
        )
    for path in chosen:
        if Path(path).is_dir():
            if not recursive:
                problems.append(Problem("is a folder", Location(path), hint="--recursive uploads its files"))
                continue
            read = _read_folder(path, to, on_hashed, allow_secrets=allow_secrets)
            files, more = read.found, list(read.secrets)
            notes += _left_out_notes(path, read)
        else:
            name = to + Path(path).name if keeps_names else to
            try:
                files, more = _read_file(path, name, on_hashed, allow_secrets=allow_secrets)
            except OSError as error:
                unreadable.append(Problem(f"can't be read: {error.strerror or error}", Location(path)))
                continue
        secrets += more
        problems += _name_problems(files, found)
        found |= files
    if problems:
        raise SourceRefused("these files can't be uploaded", problems=problems)
    if unreadable:
        # As with `cp a.txt target`: the last argument is taken for a file.
        is_target = bool(found) and not to and len(unreadable) == 1 and not os.path.lexists(chosen[-1])
        name = chosen[-1] if len(chosen) == 2 else chosen[-1].rstrip("/") + "/"
        hint = f"if {chosen[-1]} is meant as the name in storage, write --to {name}" if is_target else None
        raise SourceUnreadable("these files can't be read", problems=unreadable, hint=hint)
    if secrets:
        raise SecretFound(
            "some files appear to contain secrets; nothing was sent",
            problems=secrets,
            hint="storage files are public; if they aren't secrets, or are public on purpose, add --allow-secrets",
        )
    return Sources(found, tuple(notes))


def _left_out_notes(path: str, read: SelectedFiles) -> Iterator[Note]:
    for names, why in ((read.hidden, "hidden by a dot"), (read.ignored, "excluded by .mosaicignore")):
        if names:
            some = ", ".join(sorted(names)[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")
            message = f"{path}: {count_text(len(names), 'file')} left out, {why}: {some}; give its own path to upload one"
            yield Note("files_left_out", message)


def _expanded(paths: Sequence[str]) -> Iterator[str]:
    """The paths, each once. A pattern that the shell has left as it is, is expanded here."""
    seen = set()
    for path in paths:
        matches = [path]
        if is_glob(path) and not os.path.lexists(path):
            matches = sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 - it may be absolute
        for each in matches:
            if each not in seen:
                seen.add(each)
                yield each


def _read_folder(path: str, to: str, on_hashed: OnHashed, *, allow_secrets: bool) -> SelectedFiles:
    """Below the current folder, links may lead to anything in that; elsewhere only to the folder's own files."""
    real, here = os.path.realpath(path), os.path.realpath(".")
    is_below = os.path.commonpath([real, here]) == here and real != here
    root, folder = (Path(here), os.path.relpath(real, here)) if is_below else (Path(real), ".")
    allowed = _EVERYTHING if allow_secrets else ()
    selection = FileSelection(folder, prefix=to, allow_secrets=allowed)
    return read_files(root, selection, on_hashed=on_hashed)


def _read_file(
    path: str, name: str, on_hashed: OnHashed, *, allow_secrets: bool
) -> tuple[dict[str, LocalFile], list[Problem]]:
    """The file, and what looks like a secret in it. Raises OSError."""
    status = Path(path).stat()
    digest = read_file_digest(path, path, StatCache(None), HashCounter(on_hashed, status.st_size))
    walked = WalkedFile(name, path, os.path.realpath(path), status)
    secrets = [] if allow_secrets else list(secret_problems(walked, digest.findings))
    return {name: LocalFile(Object(name, digest.sha256, digest.size), Path(), path)}, secrets


def _name_problems(files: Mapping[str, LocalFile], before: Mapping[str, LocalFile]) -> Iterator[Problem]:
    for name, file in files.items():
        if problem := path_problem(name):
            yield problem
        elif name in before:
            other = before[name].relative_path
            yield Problem(f"would get the same name as {other}: {name}", Location(file.relative_path))


def plan_put(api: Api, stored: Stored, sources: Sources, *, managed: bool = False) -> Plan:
    """The uploads; files that are live with the same content are left out. Reads only.

    Raises StorageFileManaged for files that a manifest deploys or has deployed, unless `managed`; QuotaExceeded, ApiError.
    """
    if not managed:
        refuse_managed(sources.files, lambda name: _recorded(stored, name))
    cache = EtagCache(stored.project.url)
    with ThreadPoolExecutor(DEFAULT_PARALLELISM) as pool:
        puts = pool.map(lambda file: _put(api, stored, file.object, cache), sources.files.values())
        changes = tuple(put for put in puts if put)
    cache.write()
    urls = stored.urls.known(change.path for change in changes)
    notes = (*sources.notes, *quota_notes(changes, stored.objects, stored.usage))
    plan = Plan(stored.project, changes, notes, "", "", 0, storage_urls=urls)
    return apply_policy(plan, (), stored.manifest)


def refuse_managed(names: Iterable[str], reason: Callable[[str], str]) -> None:
    """Raises StorageFileManaged if there is a `reason` for any of the files."""
    problems = [Problem(why, Location(name)) for name in names if (why := reason(name))]
    if problems:
        raise StorageFileManaged(
            "nothing was changed: a manifest deploys these files",
            problems=problems,
            hint="change the file in the manifest's folder and apply; to change what is live until the next apply, add --managed",
        )


def _recorded(stored: Stored, name: str) -> str:
    """Why a file that is put under this name wouldn't stay; empty if it would."""
    if stored.is_left(name):
        return "recorded as this manifest's; an apply with `prune` may delete it"
    return stored.deployed_by(name)


def _put(api: Api, stored: Stored, wanted: Object, cache: EtagCache) -> PutStorageFile | None:
    """The upload; None if the file is live with this content."""
    name, url = wanted.path, stored.urls.listed.get(wanted.path, "")
    live = stored.live_size(name)
    if live == NOTHING_LIVE:
        return PutStorageFile(name, wanted.sha256, wanted.size, Action.ADD, "new")
    same = live in (None, wanted.size) and url and _live_digest(api, url, cache) == wanted.sha256
    if same:
        return None
    size = "" if live is None else f", {size_text(live)}"
    reason = f"overwrites the live file ({stored.deployed_by(name) or f'not deployed from here{size}'})"
    return PutStorageFile(name, wanted.sha256, wanted.size, Action.CHANGE, reason, overwrites=True)


def _live_digest(api: Api, url: str, cache: EtagCache) -> str:
    """The digest of what is live; empty if it can't be fetched, so that it counts as different."""
    try:
        return read_digest(api, url, cache)
    except ApiError:
        return ""
