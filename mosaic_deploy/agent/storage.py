"""What the tools for storage files do: list, read, upload and delete those that no manifest deploys.

An agent approves nothing: what would delete or replace a live file is refused as in an apply, and a person runs the command that the
error has.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.agent.account import ToolTarget, resolve_inside
from mosaic_deploy.cli.commands.storage.ls import list_document
from mosaic_deploy.cli.commands.storage.put import put_document
from mosaic_deploy.cli.folder_option import find_project
from mosaic_deploy.cli.render.json_documents import plan_document
from mosaic_deploy.cli.render.schema_documents import Document
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.deploy.storage.patterns import chosen_names, listed_names
from mosaic_deploy.deploy.storage.put import plan_put, read_sources
from mosaic_deploy.deploy.storage.remove import plan_removal
from mosaic_deploy.deploy.storage.send import send
from mosaic_deploy.deploy.storage.stored import read_stored
from mosaic_deploy.diff.gate import Actor, needs_person
from mosaic_deploy.diff.policy import BUILD_FAILED_HINT, refuse_denied, unconfirmed_error
from mosaic_deploy.errors import Location, NextAction, Problem, SecretFound, SourceRefused, UsageInvalid
from mosaic_deploy.live.api.operations import read_storage_files
from mosaic_deploy.live.api.rate_limit import DEFAULT_PARALLELISM
from mosaic_deploy.live.download import download
from mosaic_deploy.model.plan import Plan

if TYPE_CHECKING:
    from mosaic_deploy.source.files.local_file import LocalFile

MAX_FILES = 1000
MAX_TEXT = 256 * 1024
"""Bytes of a file whose text is returned."""


def list_storage(target: ToolTarget, prefix: str, limit: int) -> Document:
    """The first files whose names begin with `prefix` or match it as a glob, with their URLs."""
    with target.open("list_storage", "project_only") as session:
        found, usage = read_storage_files(session.api, find_project(session).id)
    names = listed_names(prefix, found)
    chosen = islice(names, max(1, min(limit, MAX_FILES)))
    document = list_document([(name, *found[name]) for name in chosen], usage)
    return {**document, "total": len(names)}


def read_storage_file(target: ToolTarget, name: str) -> Document:
    """The file's URL, and its text if that is UTF-8 of up to MAX_TEXT bytes. Raises StorageFileMissing."""
    with target.open("read_storage_file", "project_only") as session:
        found, _ = read_storage_files(session.api, find_project(session).id)
        chosen_names([name], [each for each in found if each == name])
        size, url = found[name]
        content = io.BytesIO()
        if readable := bool(url) and size is not None and size <= MAX_TEXT:
            download(session.api, name, url, size, content, lambda _: None)
    try:
        text = content.getvalue().decode() if readable else None
    except UnicodeDecodeError:
        text = None
    return {"type": "storage_file", "filename": name, "size": size, "url": url or None, "text": text}


def upload_storage(target: ToolTarget, files: Sequence[str], to: str, *, dry_run: bool) -> Document:
    """Uploads files below the server's root. Raises what `_send` raises, UsageInvalid for other files, and as `read_sources`."""
    paths = [_published(target.root, file) for file in files]
    person = ("put", *paths, *(("--to", to) if to else ()))
    with target.open("upload_storage", "project_only") as session:
        try:
            sources = read_sources(paths, to, lambda *_: None, recursive=False, allow_secrets=False)
        except SecretFound as error:
            error.hint = "storage files are public; if they aren't secrets, a person can upload them"
            command = session.scope.command("storage", *person, "--allow-secrets")
            error.next_actions = (NextAction("upload them at a terminal", command, needs_person=True),)
            raise
        project = find_project(session)
        plan = plan_put(session.api, read_stored(session.api, project, session.manifest), sources)
        if dry_run:
            return _shown(session, target, plan)
        _send(session, target, plan, sources.files, person)
        return put_document(plan, sources, read_storage_files(session.api, project.id)[0])


def delete_storage(target: ToolTarget, names: Sequence[str], *, left: bool, dry_run: bool) -> Document:
    """Deletes the files that `names` choose, with `left` of those that the manifest deployed earlier. Raises UsageInvalid, what
    `_send` raises, and as `plan_removal`."""
    if not names and not left:
        raise UsageInvalid("delete_storage: no names", hint="pass names, or left: true")
    with target.open("delete_storage", "project_only") as session:
        stored = read_stored(session.api, find_project(session), session.manifest)
        plan = plan_removal(session.api, stored, names, left=left)
        if dry_run:
            return _shown(session, target, plan)
        _send(session, target, plan, {}, ("rm", *(["--left"] if left else []), *names))
    return {"type": "storage_rm", "deleted": [change.address.partition(":")[2] for change in plan.changes]}


def _published(root: Path, file: str) -> str:
    """The absolute path of a file to publish. Raises UsageInvalid if it is outside `root`, SourceRefused if it is hidden."""
    path = resolve_inside(root, file)
    inner = path.relative_to(root.resolve()).parts
    if any(part.startswith(".") for part in (*inner, *Path(file).parts) if part not in (".", "..")):
        problem = Problem("is hidden by a dot", Location(file))
        raise SourceRefused("agents can't publish hidden files", problems=[problem])
    return str(path)


def _approvals(session: Session, target: ToolTarget, plan: Plan) -> Sequence[Document]:
    needed = needs_person(plan, session.manifest.policy, Actor(target.allow, is_agent=True))
    return [{"value": each.allow, "effect": each.effect} for each in needed]


def _shown(session: Session, target: ToolTarget, plan: Plan) -> Document:
    return {**plan_document(plan), "needs_person": _approvals(session, target, plan)}


def _send(
    session: Session,
    target: ToolTarget,
    plan: Plan,
    files: Mapping[str, LocalFile],
    person: Sequence[str],
) -> None:
    """Carries out the plan. Raises PolicyDenied, and an `unconfirmed_error` with the command `person`, if a person must approve it."""
    refuse_denied(plan)
    if missing := needs_person(plan, session.manifest.policy, Actor(target.allow, is_agent=True)):
        command = session.scope.command("storage", *person)
        error = unconfirmed_error(
            missing,
            "show this to your user, who can do it at a terminal",
            [NextAction("a person can do it at a terminal", command, needs_person=True)],
        )
        # Nothing was built.
        error.hint = error.hint and error.hint.removeprefix(BUILD_FAILED_HINT)
        raise error
    if plan.changes:
        deque(send(session.api, plan, files, DEFAULT_PARALLELISM), maxlen=0)
