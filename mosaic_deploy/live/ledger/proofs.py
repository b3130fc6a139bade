"""Proofs in the rows of deployed files: that a deploy wrote the row, and nobody else who may write to the database.

With `prune`, the row of a file says that it may be deleted. Apps use the same database role as deploys, so an app, or SQL
that was injected into one, can write such a row for a file that somebody uploaded. What it doesn't have is the API key.
An old row can be written again: so a proof is of the content, and a live file of another size isn't the one it is about.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mosaic_deploy.model.manifest_identity import same_names
from mosaic_deploy.model.snapshot import Object, Objects, UnprovenRows

_KEY_PURPOSE = b"mosaic-deploy: rows of deployed files, with their content"
_KEY_NAME_LENGTH, _PROOF_LENGTH = 8, 32
_PROOF = re.compile(rf"[0-9a-f]{{{_KEY_NAME_LENGTH}}}:[0-9a-f]{{{_PROOF_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Prover:
    """Makes and checks proofs: HMACs with a key that is derived from the API key, for one project.

    A proof begins with the name of its key. With another API key than the row was written with, for instance after a
    rotation, nothing can be proven; the next deploy writes new proofs for the files of its folder. Other rows with such a
    proof stay, without one that is valid: they count again if their files return to the folder.
    """

    secret: str
    project: str

    @property
    def key_name(self) -> str:
        return hashlib.sha256(self._key).hexdigest()[:_KEY_NAME_LENGTH] + ":"

    def proofs(self, kind: str, rows: Iterable[Object], manifest: str) -> Mapping[str, str]:
        """By path, the proofs that `manifest` deployed these files with this content."""
        key, name = self._key, self.key_name
        return {
            row.path: f"{name}{_mac(key, [self.project, kind, row.path, manifest, row.sha256, str(row.size)])}"
            for row in rows
        }

    def split(
        self,
        kind: str,
        rows: Mapping[str, Object],
        proofs: Mapping[str, str],
        desired: Objects,
        manifest: str,
    ) -> tuple[dict[str, Object], UnprovenRows]:
        """The rows that count, and those that can't be proven.

        Rows of desired files count anyway: the folder says whose they are. Those of other manifests aren't touched.
        """
        own = same_names(manifest)
        claimed: dict[str, list[Object]] = {}
        for path, row in rows.items():
            if path not in desired and own.include(row.manifest):
                claimed.setdefault(row.manifest, []).append(row)
        valid = {
            path: proof
            for recorded, group in claimed.items()
            for path, proof in self.proofs(kind, group, recorded).items()
        }
        unproven = [
            path
            for path, proof in valid.items()
            if not hmac.compare_digest(proofs.get(path, "").encode(), proof.encode())
        ]
        without = frozenset(unproven)
        other_key = {path for path in unproven if self._is_of_other_key(proofs.get(path, ""))}
        return {path: row for path, row in rows.items() if path not in without}, UnprovenRows(
            tuple(path for path in unproven if path not in other_key),
            other_key=tuple(rows[path] for path in unproven if path in other_key),
        )

    def _is_of_other_key(self, proof: str) -> bool:
        return bool(_PROOF.fullmatch(proof)) and not proof.startswith(self.key_name)

    @property
    def _key(self) -> bytes:
        return hmac.digest(self.secret.encode(), _KEY_PURPOSE, "sha256")


def _mac(key: bytes, facts: list[str]) -> str:
    return hmac.digest(key, json.dumps(facts).encode(), "sha256").hex()[:_PROOF_LENGTH]
