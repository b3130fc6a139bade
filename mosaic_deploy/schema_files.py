"""The JSON Schemas that ship with the program: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_SCHEMA_REFERENCE = re.compile(r'"\$ref": "urn:mosaic-deploy:schema:(\w+):\d+"')
"""A reference to another shipped schema; the group is its name."""
_FOLDERS = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")


def schema_path(name: str) -> Path:
    """The path of a shipped schema such as `mosaic.schema.json`. Raises FileNotFoundError in a broken installation."""
    for folder in _FOLDERS:
        path = folder / name
        if path.is_file():
            return path
    raise FileNotFoundError(f"this installation of mosaic-deploy lacks {name}")


def read_schema_text(name: str) -> str:
    return schema_path(name).read_text(encoding="utf-8")


def read_schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(read_schema_text(name))
    return schema


def read_bundled_schema_text(name: str) -> str:
    """A shipped schema with the schemas it refers to added to its `$defs`, so that it works as a single file."""
    text = read_schema_text(name)
    names = sorted(set(_SCHEMA_REFERENCE.findall(text)))
    if not names:
        return text
    schema: dict[str, Any] = json.loads(text)
    referenced = {name: read_schema(f"{name}.schema.json") for name in names}
    bundled = {**schema, "$defs": {**schema.get("$defs", {}), **referenced}}
    return json.dumps(bundled, indent=2, ensure_ascii=False) + "\n"
