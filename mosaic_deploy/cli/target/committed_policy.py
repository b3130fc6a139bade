"""The policy in the committed manifest: unlike the file in the working tree, an agent that edits files can't change it.

It can if it may commit, or write below `.git`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mosaic_deploy.cli.target.ancestry import run_git
from mosaic_deploy.diff.gate import stricter_policy
from mosaic_deploy.model.manifest import Manifest, PolicySpec
from mosaic_deploy.source.manifest.policy import read_policy_text


def with_committed_policy(manifest: Manifest) -> Manifest:
    """The manifest with what its own policy or the committed one forbids. Without a commit, that is the default policy."""
    committed = committed_policy(manifest.file, manifest.environment)
    return replace(manifest, policy=stricter_policy(manifest.policy, committed))


def committed_policy(file: Path, environment: str | None) -> PolicySpec:
    """The policy of `file` in the checked-out commit; the default one if there is none that can be read."""
    found = run_git(file.parent, "cat-file", "blob", f"HEAD:./{file.name}")
    if found is None or found.returncode != 0:
        return PolicySpec()
    return read_policy_text(found.stdout, environment)
