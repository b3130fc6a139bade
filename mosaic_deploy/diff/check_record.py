"""What is recorded about the checks of one manifest: those that passed last, and whether they have to run.

A deploy records that its checks are pending with the statement that gives it the lease, and that they passed at its end. So
they stay pending however it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.errors import VerifyFailed
from mosaic_deploy.model.manifest import VerifySpec
from mosaic_deploy.model.plan import CHECKS_CHANGED, CHECKS_PENDING, Note, Severity

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


def check_notes(verify: VerifySpec, ledger_facts: Mapping[str, Any], *, empty: bool) -> Iterator[Note]:
    """Why the checks run: they changed, or, with an `empty` plan, this manifest's last deploy didn't complete them."""
    record, last = parse_check_record(ledger_facts.get("checks")), ledger_facts.get("last")
    if not last or not record.to_run(verify):
        return
    if record.digest and record.changed(verify):
        message = "the checks in verify changed since they last passed; `mosaic-deploy apply` runs them"
        yield Note(CHECKS_CHANGED, message)
    elif empty and not record.pending:
        yield Note(CHECKS_CHANGED, "the checks in verify haven't run yet; `mosaic-deploy apply` runs them")
    elif empty:
        yield Note(CHECKS_PENDING, _pending_text(last), Severity.WARNING)


def _pending_text(last: Mapping[str, Any]) -> str:
    """They are pending after any deploy that didn't complete; most of those never came to their checks."""
    report = last.get("report") or {}
    if (report.get("error") or {}).get("code") == VerifyFailed.code:
        return "the checks in verify didn't pass in the last deploy; `mosaic-deploy apply` runs them again"
    return "the checks in verify haven't run since a deploy that didn't complete; `mosaic-deploy apply` runs them"
