"""A backend of the package `keyring` that stores keys in a file, in place of the system keyring."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class FileKeyring(KeyringBackend):
    """Stores keys in the file TEST_KEYRING; locked if there is a file `locked` next to it."""

    priority = 1  # type: ignore[assignment]

    @property
    def _file(self) -> Path:
        file = Path(os.environ["TEST_KEYRING"])
        if file.with_name("locked").exists():
            raise KeyringLocked("it is locked\nand stays so")
        return file

    def _kept(self) -> dict[str, str]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        return self._kept().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._file.write_text(json.dumps({**self._kept(), f"{service} {username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        kept = self._kept()
        if kept.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError("there is none")
        self._file.write_text(json.dumps(kept))
