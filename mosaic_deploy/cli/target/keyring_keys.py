"""API keys in the system's keyring, by the package `keyring`, which only `login --keyring` asks for.

Whatever a keyring raises becomes SourceUnreadable here: backends raise what they like.
"""

from __future__ import annotations

import importlib.util

from mosaic_deploy.errors import SourceUnreadable

KEYRING_SERVICE = "mosaic-deploy"


def is_keyring_installed() -> bool:
    """Whether the package is there; whether it has a keyring to use is told when it is used."""
    return importlib.util.find_spec("keyring") is not None


def read_key(account: str) -> str:
    """The key, empty where there is none. Raises SourceUnreadable."""
    try:
        import keyring

        return keyring.get_password(KEYRING_SERVICE, account) or ""
    except Exception as error:
        raise SourceUnreadable(
            f"the keyring can't be read: {_first_line(error)}",
            hint="unlock it, or run `mosaic-deploy login` again; MOSAIC_API_KEY is taken without it",
        ) from None


def write_key(account: str, key: str) -> str:
    """Keeps a key, and reads it again, because some keyrings keep nothing. Returns the keyring's name."""
    hint = "without --keyring the key is kept in a file that only you can read"
    try:
        import keyring

        keyring.set_password(KEYRING_SERVICE, account, key)
        kept = keyring.get_password(KEYRING_SERVICE, account)
        name = keyring.get_keyring().name
    except Exception as error:
        raise SourceUnreadable(f"the keyring doesn't take the key: {_first_line(error)}", hint=hint) from None
    if kept != key:
        raise SourceUnreadable(f"the keyring ({name}) doesn't keep the key", hint=hint)
    return str(name)


def delete(account: str) -> bool:
    """Whether there was a key. Raises SourceUnreadable where it may still be there."""
    if not read_key(account):
        return False
    try:
        import keyring

        keyring.delete_password(KEYRING_SERVICE, account)
    except Exception as error:
        raise SourceUnreadable(
            f"the keyring doesn't forget the key: {_first_line(error)}",
            hint="delete it in the keyring's own program",
        ) from None
    return True


def _first_line(error: Exception) -> str:
    """The first line is for users; with `No recommended backend …` come instructions for programmers."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
