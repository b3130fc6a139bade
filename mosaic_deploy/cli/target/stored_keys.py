"""API keys that `login` kept, one per API address: in a file that only its owner reads, or in the system's keyring.

The file tells of either, so that a keyring is asked only where it has the key; it never has both.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from mosaic_deploy.errors import SourceUnreadable

_KEYRING_MARKER = {"in": "keyring"}
"""What the file has in place of a key."""


def keys_file() -> Path:
    """`keys.json` in the user's configuration folder (`XDG_CONFIG_HOME`, else `~/.config`)."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "mosaic-deploy" / "keys.json"


def read_stored_key(url: str) -> str:
    """The key kept for this address, empty where there is none. Raises SourceUnreadable."""
    found = _read_keys().get(_key_name(url), "")
    if found == _KEYRING_MARKER:
        from mosaic_deploy.cli.target import keyring_keys

        return keyring_keys.read_key(_key_name(url))
    return found if isinstance(found, str) else ""


def store_in_file(url: str, key: str) -> Path:
    """Keeps a key in the file, and no longer in the keyring. Raises SourceUnreadable."""
    before = _read_keys()
    file = _write_keys({**before, _key_name(url): key})
    if before.get(_key_name(url)) == _KEYRING_MARKER:
        from mosaic_deploy.cli.target import keyring_keys

        keyring_keys.delete(_key_name(url))
    return file


def store_in_keyring(url: str, key: str) -> str:
    """Keeps a key in the keyring, and no longer in the file. Returns the keyring's name. Raises SourceUnreadable."""
    from mosaic_deploy.cli.target import keyring_keys

    name = keyring_keys.write_key(_key_name(url), key)
    _write_keys({**_read_keys(), _key_name(url): _KEYRING_MARKER})
    return name


def delete_key(url: str) -> bool:
    """Forgets the key wherever it is; whether there was one. Raises SourceUnreadable where it may still be kept."""
    from mosaic_deploy.cli.target import keyring_keys

    keys = _read_keys()
    found = keys.pop(_key_name(url), None)
    in_keyring = False
    try:
        # Also where the file doesn't tell of it: a login may have ended between the two.
        in_keyring = keyring_keys.is_keyring_installed() and keyring_keys.delete(_key_name(url))
    except SourceUnreadable:
        if found == _KEYRING_MARKER:
            raise
    if found is not None:
        _write_keys(keys)
    return bool(found) or in_keyring


def _write_keys(keys: dict[str, Any]) -> Path:
    """All of them, whole or not at all."""
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


def _key_name(url: str) -> str:
    return url.rstrip("/").lower()


def _read_keys() -> dict[str, Any]:
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
    return found if isinstance(found, dict) else {}
