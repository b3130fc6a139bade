"""Finds the JSON Schemas that are shipped: beside this file in a wheel, beside the package in a checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
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
