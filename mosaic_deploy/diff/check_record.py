"""What is recorded about the checks of one manifest: those that passed last, and whether they have to run.

A deploy records that its checks are pending with the statement that gives it the lease, and that they passed at its end. So
they stay pending however it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mosaic_deploy.model.manifest import VerifySpec

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """`digest`: of the checks that passed last; None if none did. `pending`: a later deploy hasn't completed its checks.

    `sign_in`: these have to send a magic link.
    """

    digest: str | None = None
    pending: bool = False
    sign_in: bool = False

    def changed(self, verify: VerifySpec) -> bool:
        """Whether there are checks, and they aren't those that passed last."""
        return bool(verify) and self.digest != verify.digest()

    def to_run(self, verify: VerifySpec) -> bool:
        """Whether there are checks that run also without other changes."""
        return self.changed(verify) or (bool(verify) and self.pending)

    def sends_link(self, verify: VerifySpec, *, sets_auth: bool) -> bool:
        """Whether the checks send a magic link: only if sign-in or the checks have changed since they passed."""
        return sets_auth or self.sign_in or self.changed(verify)

    def begun(self, verify: VerifySpec, *, sets_auth: bool) -> JsonObject | None:
        """The record to write before a deploy changes something; None if there is nothing to remember."""
        if not verify and self == NO_RECORD:
            return None
        sign_in = self.sends_link(verify, sets_auth=sets_auth)
        return {"digest": self.digest, "pending": True, "sign_in": sign_in}


NO_RECORD = CheckRecord()


def passed_record(verify: VerifySpec) -> JsonObject:
    """The record after all checks passed."""
    return {"digest": verify.digest()}


def parse_check_record(record: object) -> CheckRecord:
    """The recorded facts; NO_RECORD without a record that can be read."""
    found = record if isinstance(record, Mapping) else {}
    digest = found.get("digest")
    return CheckRecord(
        digest if isinstance(digest, str) else None,
        found.get("pending") is True,
        found.get("sign_in") is True,
    )
