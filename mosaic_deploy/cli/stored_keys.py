"""API keys that `login` kept: one file that only its owner reads, a key per API address."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from mosaic_deploy.errors import SourceUnreadable


def keys_file() -> Path:
    """`keys.json` in the user's configuration folder (`XDG_CONFIG_HOME`, else `~/.config`)."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "mosaic-deploy" / "keys.json"


def stored_key(url: str) -> str:
    """The key kept for this address, empty where there is none. Raises SourceUnreadable."""
    return _read().get(_named(url), "")


def store_key(url: str, key: str) -> Path:
    """Keeps a key, whole or not at all; empty forgets it. Raises SourceUnreadable."""
    keys = _read()
    if key:
        keys[_named(url)] = key
    else:
        keys.pop(_named(url), None)
    file = keys_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp's files are their owner's alone from the beginning.
        handle, written = tempfile.mkstemp(dir=file.parent, prefix=".keys-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(keys, stream, indent=2)
        Path(written).replace(file)
    except OSError as error:
        raise SourceUnreadable(f"{file} can't be written: {error.strerror}") from None
    return file


def _named(url: str) -> str:
    return url.rstrip("/").lower()


def _read() -> dict[str, str]:
    file = keys_file()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SourceUnreadable(
            f"{file} can't be read: {getattr(error, 'strerror', None) or 'it is damaged'}",
            hint="delete it, and run `mosaic-deploy login` again",
        ) from None
    return {str(url): str(key) for url, key in found.items()} if isinstance(found, dict) else {}
