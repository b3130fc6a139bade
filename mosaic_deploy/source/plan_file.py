"""Writes saved plans atomically, and reads them only if they are unmodified."""

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

from mosaic_deploy.errors import FileExists, NextAction, PlanFileInvalid, WriteFailed
from mosaic_deploy.schema_files import read_schema
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES

Document = Mapping[str, Any]
SCHEMA = "plan.schema.json"
_DOCUMENT_START = re.compile(r'\s*\{\s*"mosaic_deploy"\s*:')
"""The start of every plan document, to recognize truncated ones."""


def checksum(document: Document) -> str:
    """SHA-256 of all other fields of the document, regardless of layout and order."""
    rest = {name: value for name, value in document.items() if name != "checksum"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_plan_file(path: Path, document: Document) -> None:
    """Writes `document` with its checksum. Concurrent readers see either the old or the new file.

    Raises FileExists if `path` is something other than a saved plan, WriteFailed.
    """
    refuse_overwriting(path)
    complete = {**document, "checksum": checksum(document)}
    text = json.dumps(complete, indent=2, ensure_ascii=False) + "\n"
    try:
        _replace(Path(os.path.realpath(path)), text)  # keeps a symlink
    except (OSError, ValueError) as error:
        raise WriteFailed(f"{path} can't be written: {getattr(error, 'strerror', error)}") from None


def _replace(target: Path, text: str) -> None:
    temporary = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError, ValueError):
            temporary.unlink(missing_ok=True)
        raise


def refuse_overwriting(path: Path) -> None:
    """Raises FileExists if writing a plan to `path` would overwrite something other than a plan, WriteFailed."""
    try:
        if not os.path.lexists(path):
            return
        is_plan = path.is_file() and _starts_as_plan(path)
    except (OSError, ValueError) as error:
        raise WriteFailed(f"{path} can't be written: {getattr(error, 'strerror', error)}") from None
    if not is_plan:
        raise FileExists(
            f"{path} already exists and isn't a saved plan; it wasn't overwritten",
            hint="choose another name; --output json prints the plan",
        )


def _starts_as_plan(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(_DOCUMENT_START.match(file.read(200).decode("utf-8", "replace")))


def read_plan_file(path: Path, newest: int) -> dict[str, Any] | None:
    """The saved plan at `path`; None for any other file, such as a manifest.

    The content decides; only if it is missing or empty does the suffix `.json`. Raises PlanFileInvalid for a plan that
    is truncated, modified, not saved with --out, or has a newer format than `newest`.
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
                f"{path} isn't a complete plan: {_json_mistake(error)}",
                hint=_COPY_HINT,
                next_actions=_new_plan_actions(path),
            ) from None
        return None
    if not isinstance(document, dict) or "mosaic_deploy" not in document:
        if path.suffix == ".json" and "version" not in document:
            # Not a manifest either: those have a version.
            raise PlanFileInvalid(
                f"{path} isn't a saved plan, or it was truncated or modified",
                hint=_COPY_HINT,
                next_actions=_new_plan_actions(path),
            )
        return None
    _refuse_unusable(path, document, newest)
    return document


def _json_mistake(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        at_end = not error.doc[error.pos :].strip()
        where = f"line {error.lineno}, column {error.colno}"
        return f"it ends early, at {where}" if at_end else f"it isn't valid JSON at {where}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _refuse_missing_or_empty(path: Path, text: str | None) -> None:
    if not os.path.lexists(path):
        raise PlanFileInvalid(
            f"no saved plan: {path} doesn't exist",
            hint="pass a file written by `mosaic-deploy plan --out FILE`, or a folder with a mosaic.yaml",
            next_actions=_new_plan_actions(path),
        )
    if text is not None and not text.strip():
        raise PlanFileInvalid(
            f"{path} isn't a complete plan: it is empty",
            hint=_COPY_HINT,
            next_actions=_new_plan_actions(path),
        )


def _new_plan_actions(path: Path, document: Document | None = None) -> tuple[NextAction, ...]:
    """The command that makes a new plan, with the options of `document` if it has them."""
    words = ["mosaic-deploy", "plan", "--out", str(path), *_scope_arguments(document or {})]
    return (NextAction("make a new plan", shlex.join(words)),)


def _scope_arguments(document: Document) -> Iterator[str]:
    """Arguments that select the project of the plan. The file may contain anything."""
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
    """Whether `value` is safe as a command-line argument and on a terminal."""
    return isinstance(value, str) and value.isprintable() and bool(value) and not value.startswith("-")


_COPY_HINT = "copy the file again, or make a new plan"


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig") if path.is_file() else None
    except (OSError, ValueError):
        return None  # reading it as a manifest reports the error


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for a duplicate name, because parsers differ in which value they use."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("duplicate name in an object")
    return dict(pairs)


def _refuse_unusable(path: Path, document: Document, newest: int) -> None:
    creator = f"mosaic-deploy {document['mosaic_deploy']}"
    number = document.get("format")
    if isinstance(number, int) and number > newest:
        raise PlanFileInvalid(
            f"{path} has format {number} of {creator}; this version supports formats up to {newest}",
            hint="upgrade mosaic-deploy, or make the plan with this version",
            next_actions=_new_plan_actions(path, document),
        )
    if "saved" not in document:
        raise PlanFileInvalid(
            f"{path} is the output of --output json, not a saved plan",
            hint="only plans made with --out can be applied",
            next_actions=_new_plan_actions(path, document),
        )
    if document.get("checksum") != checksum(document):
        raise PlanFileInvalid(
            f"{path} was modified after it was written",
            hint="a saved plan is applied exactly as written; change the project and make a new plan",
            next_actions=_new_plan_actions(path, document),
        )
    from jsonschema import Draft202012Validator

    if not Draft202012Validator(read_schema(SCHEMA)).is_valid(document):
        raise PlanFileInvalid(
            f"{path} doesn't have the format of a saved plan",
            hint=_COPY_HINT,
            next_actions=_new_plan_actions(path, document),
        )
