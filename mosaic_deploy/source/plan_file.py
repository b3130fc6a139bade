"""Saved plans on disk: written whole or not at all, and read only where they are as they were written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from mosaic_deploy.errors import NextAction, PlanFileInvalid
from mosaic_deploy.schema_files import read_schema
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES

Document = Mapping[str, Any]
SCHEMA = "plan.schema.json"
_DOCUMENT_START = re.compile(r'\s*\{\s*"mosaic_deploy"\s*:')
"""How every document of ours begins, however little of it is there."""


def checksum(document: Document) -> str:
    """Of everything else in the document. Layout and the order of fields don't count."""
    rest = {name: value for name, value in document.items() if name != "checksum"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_plan_file(path: Path, document: Document) -> None:
    """Writes `document` with its checksum; whoever reads meanwhile sees the old file or the new one, whole.

    Raises PlanFileInvalid, also where `path` is something else than a saved plan.
    """
    refuse_overwriting(path)
    whole = {**document, "checksum": checksum(document)}
    text = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    try:
        _replace(Path(os.path.realpath(path)), text)  # through a link, which stays one
    except (OSError, ValueError) as error:
        raise PlanFileInvalid(f"{path} can't be written: {getattr(error, 'strerror', error)}") from None


def _replace(target: Path, text: str) -> None:
    beside = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        with contextlib.suppress(OSError, ValueError):
            beside.unlink(missing_ok=True)
        raise


def refuse_overwriting(path: Path) -> None:
    """Raises PlanFileInvalid where writing a plan to `path` would destroy something that isn't one."""
    try:
        if not os.path.lexists(path):
            return
        ours = path.is_file() and _begins_as_plan(path)
    except (OSError, ValueError) as error:
        raise PlanFileInvalid(f"{path} can't be written: {getattr(error, 'strerror', error)}") from None
    if not ours:
        raise PlanFileInvalid(
            f"{path} is there already and no saved plan, so it isn't overwritten",
            hint="choose another name, or remove it first; --output json prints the plan",
        )


def _begins_as_plan(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(_DOCUMENT_START.match(file.read(200).decode("utf-8", "replace")))


def read_plan_file(path: Path, newest: int) -> dict[str, Any] | None:
    """The saved plan at `path`; None for anything that isn't a document of ours, such as a manifest.

    What the file holds decides; only where it holds too little does its name, `.json`. Raises PlanFileInvalid for one
    of ours that is cut off, was edited, is no saved plan, or has a newer format than `newest`.
    """
    text = _read_text(path)
    if path.suffix == ".json":
        _refuse_missing_or_empty(path, text)
    if text is None or not text.lstrip().startswith("{"):
        return None
    try:
        document = json.loads(text, object_pairs_hook=_unique_names)
    except (ValueError, RecursionError) as error:
        if _DOCUMENT_START.match(text):
            raise PlanFileInvalid(
                f"{path} isn't a whole plan: {error}", hint=_COPY_HINT, next_actions=_new_plan_actions(path)
            ) from None
        return None
    if not isinstance(document, dict) or "mosaic_deploy" not in document:
        if path.suffix == ".json" and "version" not in document:
            # Not a manifest either, which would begin with its version.
            raise PlanFileInvalid(
                f"{path} is no saved plan", hint=_COPY_HINT, next_actions=_new_plan_actions(path)
            )
        return None
    _refuse_unusable(path, document, newest)
    return document


def _refuse_missing_or_empty(path: Path, text: str | None) -> None:
    if not os.path.lexists(path):
        raise PlanFileInvalid(
            f"no saved plan: {path} is not there",
            hint="give the file that `mosaic-deploy plan --out FILE` wrote, or a folder with a mosaic.yaml",
            next_actions=_new_plan_actions(path),
        )
    if text is not None and not text.strip():
        raise PlanFileInvalid(
            f"{path} isn't a whole plan: it is empty", hint=_COPY_HINT, next_actions=_new_plan_actions(path)
        )


def _new_plan_actions(path: Path, document: Document | None = None) -> tuple[NextAction, ...]:
    """The command that makes such a plan, of the same project where `document` still tells."""
    words = ["mosaic-deploy", "plan", "--out", str(path), *_scope_arguments(document or {})]
    return (NextAction("make a new plan", shlex.join(words)),)


def _scope_arguments(document: Document) -> Iterator[str]:
    """What said which project was meant. The file may hold anything."""
    saved = document.get("saved")
    saved = saved if isinstance(saved, dict) else {}
    if saved.get("local") is True:
        yield "--local"
    for option, value in (("--env", document.get("environment")), ("--project", saved.get("project"))):
        if _is_word(value):
            yield from (option, value)
    manifest = saved.get("manifest")
    if _is_word(manifest) and Path(manifest).is_file():
        folder, name = os.path.split(manifest)
        place = folder if name == MANIFEST_NAMES[0] else manifest
        yield from (place,) if place else ()


def _is_word(value: object) -> TypeGuard[str]:
    """Text that can stand in a command line and on a screen."""
    return isinstance(value, str) and value.isprintable() and bool(value) and not value.startswith("-")


_COPY_HINT = "it was cut off or changed on its way here; copy it again, or make a new plan"


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig") if path.is_file() else None
    except (OSError, ValueError):
        return None  # whoever reads it as a manifest says what is wrong


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a name given twice: readers would differ in which value they show."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    return dict(pairs)


def _refuse_unusable(path: Path, document: Document, newest: int) -> None:
    made_by = f"mosaic-deploy {document['mosaic_deploy']}"
    number = document.get("format")
    if isinstance(number, int) and number > newest:
        raise PlanFileInvalid(
            f"{path} has format {number}, of {made_by}; this one knows formats up to {newest}",
            hint="upgrade mosaic-deploy, or make the plan with this version",
            next_actions=_new_plan_actions(path, document),
        )
    if "saved" not in document:
        raise PlanFileInvalid(
            f"{path} is what --output json prints, and no saved plan",
            hint="only a plan made with --out knows what it was made from",
            next_actions=_new_plan_actions(path, document),
        )
    if document.get("checksum") != checksum(document):
        raise PlanFileInvalid(
            f"{path} was changed after it was written, so it isn't what was planned",
            hint="a saved plan is applied as it is; change the project and make a new one",
            next_actions=_new_plan_actions(path, document),
        )
    from jsonschema import Draft202012Validator

    if not Draft202012Validator(read_schema(SCHEMA)).is_valid(document):
        raise PlanFileInvalid(
            f"{path} doesn't have a saved plan's shape",
            hint=_COPY_HINT,
            next_actions=_new_plan_actions(path, document),
        )
