"""API keys in the system keyring, for `login --keyring`. Uses the optional package `keyring`.

Keyring backends may raise any exception; all become KeyStoreFailed.
"""

from __future__ import annotations

import importlib.util

from mosaic_deploy.errors import KeyStoreFailed

KEYRING_SERVICE = "mosaic-deploy"


def is_keyring_installed() -> bool:
    """Whether the package is installed. Whether it finds a usable keyring shows when it is used."""
    return importlib.util.find_spec("keyring") is not None


def read_key(account: str) -> str:
    """The key, empty if there is none. Raises KeyStoreFailed."""
    try:
        import keyring

        return keyring.get_password(KEYRING_SERVICE, account) or ""
    except Exception as error:
        raise KeyStoreFailed(
            f"can't read the system keyring: {_first_line(error)}",
            hint="unlock it, run `mosaic-deploy login` again, or set MOSAIC_API_KEY",
        ) from None


def write_key(account: str, key: str) -> str:
    """Saves a key and reads it back, because some keyrings store nothing. Returns the keyring's name."""
    hint = "without --keyring, the key is saved in a file that only you can read"
    try:
        import keyring

        keyring.set_password(KEYRING_SERVICE, account, key)
        stored = keyring.get_password(KEYRING_SERVICE, account)
        name = keyring.get_keyring().name
    except Exception as error:
        raise KeyStoreFailed(
            f"can't save the key in the system keyring: {_first_line(error)}", hint=hint
        ) from None
    if stored != key:
        raise KeyStoreFailed(f"the system keyring ({name}) didn't store the key", hint=hint)
    return str(name)


def delete(account: str) -> bool:
    """Deletes the key and returns whether there was one. Raises KeyStoreFailed if it may still exist."""
    if not read_key(account):
        return False
    try:
        import keyring

        keyring.delete_password(KEYRING_SERVICE, account)
    except Exception as error:
        raise KeyStoreFailed(
            f"can't delete the key from the system keyring: {_first_line(error)}",
            hint="delete it with your system's password manager",
        ) from None
    return True


def _first_line(error: Exception) -> str:
    """The first line of the message; further lines are instructions for developers."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
