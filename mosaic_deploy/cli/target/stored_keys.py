"""API keys saved by `login`, one per API URL: in a file that only its owner can read, or in the system keyring.

The file records which of the two has the key, so the keyring is only opened if needed.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from mosaic_deploy.errors import KeyStoreFailed

_KEYRING_MARKER = {"in": "keyring"}
"""Stored in the file in place of a key that is in the keyring."""


def keys_file() -> Path:
    """`mosaic-deploy/keys.json` in `XDG_CONFIG_HOME`, else in `~/.config`."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "mosaic-deploy" / "keys.json"


def read_stored_key(url: str) -> str:
    """The key saved for this URL, empty if there is none. Raises KeyStoreFailed."""
    found = _read_keys().get(_key_name(url), "")
    if found == _KEYRING_MARKER:
        from mosaic_deploy.cli.target import keyring_keys

        return keyring_keys.read_key(_key_name(url))
    return found if isinstance(found, str) else ""


def store_in_file(url: str, key: str) -> Path:
    """Saves a key in the file and removes it from the keyring. Raises KeyStoreFailed."""
    before = _read_keys()
    file = _write_keys({**before, _key_name(url): key})
    if before.get(_key_name(url)) == _KEYRING_MARKER:
        from mosaic_deploy.cli.target import keyring_keys

        keyring_keys.delete(_key_name(url))
    return file


def store_in_keyring(url: str, key: str) -> str:
    """Saves a key in the keyring and removes it from the file. Returns the keyring's name. Raises KeyStoreFailed."""
    from mosaic_deploy.cli.target import keyring_keys

    name = keyring_keys.write_key(_key_name(url), key)
    _write_keys({**_read_keys(), _key_name(url): _KEYRING_MARKER})
    return name


def delete_key(url: str) -> bool:
    """Deletes the key in both places. Returns whether there was one. Raises KeyStoreFailed if it may still exist."""
    from mosaic_deploy.cli.target import keyring_keys

    keys = _read_keys()
    found = keys.pop(_key_name(url), None)
    in_keyring = False
    try:
        # Also if the file doesn't mention it: a login may have been interrupted between the two writes.
        in_keyring = keyring_keys.is_keyring_installed() and keyring_keys.delete(_key_name(url))
    except KeyStoreFailed:
        if found == _KEYRING_MARKER:
            raise
    if found is not None:
        _write_keys(keys)
    return bool(found) or in_keyring


def _write_keys(keys: dict[str, Any]) -> Path:
    """Replaces the file atomically."""
    file = keys_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp creates files that only the owner can read.
        handle, written = tempfile.mkstemp(dir=file.parent, prefix=".keys-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(keys, stream, indent=2)
        Path(written).replace(file)
    except OSError as error:
        raise KeyStoreFailed(f"can't write {file}: {error.strerror}") from None
    return file


def _key_name(url: str) -> str:
    """The URL with scheme and host in lower case. In a path, the case matters: it may be another platform's."""
    scheme, _, rest = url.rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}"


def _read_keys() -> dict[str, Any]:
    file = keys_file()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KeyStoreFailed(
            f"can't read {file}: {getattr(error, 'strerror', None) or 'not valid JSON'}",
            hint="delete it and run `mosaic-deploy login` again",
        ) from None
    return found if isinstance(found, dict) else {}
