"""Finds the JSON Schemas that are shipped: beside this file in a wheel, beside the package in a checkout."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_SCHEMA_REFERENCE = re.compile(r'"\$ref": "urn:mosaic-deploy:schema:(\w+):\d+"')
"""A reference to another schema of ours, by its kind."""
_FOLDERS = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")


def schema_path(name: str) -> Path:
    """The file of a shipped schema (`mosaic.schema.json`). FileNotFoundError means a broken installation."""
    for folder in _FOLDERS:
        path = folder / name
        if path.is_file():
            return path
    raise FileNotFoundError(f"{name} is not in this installation of mosaic-deploy")


def read_schema_text(name: str) -> str:
    """A shipped schema as it stands in its file."""
    return schema_path(name).read_text(encoding="utf-8")


def read_schema(name: str) -> dict[str, Any]:
    """A shipped schema as a value."""
    schema: dict[str, Any] = json.loads(read_schema_text(name))
    return schema


def read_bundled_schema_text(name: str) -> str:
    """A shipped schema with every other that it refers to under its `$defs`, each by its own `$id`.

    As it stands in its file where it refers to none.
    """
    text = read_schema_text(name)
    wanted = sorted(set(_SCHEMA_REFERENCE.findall(text)))
    if not wanted:
        return text
    schema: dict[str, Any] = json.loads(text)
    others = {kind: read_schema(f"{kind}.schema.json") for kind in wanted}
    whole = {**schema, "$defs": {**schema.get("$defs", {}), **others}}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
