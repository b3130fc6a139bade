"""The faults, as data: what happens to one request and its response, and what is struck at that moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Forward(Enum):
    """What the platform gets."""

    NOW = "now"
    NEVER = "never"
    SOON = "three requests later"
    LATER = "after the deploy has ended"
    TWICE = "now, and again after the deploy has ended"


class Answer(Enum):
    """What the deployer gets, unless a Reply takes the place of the response."""

    PASS = "the response"
    DROP = "a reset connection"
    TRUNCATE = "half of the response"
    HOLD = "nothing until it gives up"


@dataclass(frozen=True)
class Reply:
    """A response that isn't the platform's."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_refusal(self) -> bool:
        """Whether it says that nothing was done, so the request is repeated.

        An answer of a gateway, or `internal error`, doesn't say that; and after a 401 nothing can be recorded.
        """
        return self.status == 429


class Strike(Enum):
    """What else is hit: a process, or the clock of the database as the lock sees it."""

    KILL = "SIGKILL to the deployer"
    INTERRUPT = "SIGINT to the deployer"
    TERMINATE = "SIGTERM to the deployer"
    PLATFORM = "SIGKILL to the platform"
    POSTGRES = "SIGKILL to PostgreSQL"
    DISK_FULL = "no space left for the platform"
    CLOCK_FORWARD = "the clock jumps an hour forward"
    CLOCK_BACK = "the clock jumps an hour back"


@dataclass(frozen=True)
class Fault:
    """One fault. `before` strikes before the request is forwarded, `after` when the platform has answered."""

    name: str
    forward: Forward = Forward.NOW
    answer: Answer | Reply = Answer.PASS
    before: Strike | None = None
    after: tuple[Strike, ...] = ()

    @property
    def kills_deployer(self) -> bool:
        return Strike.KILL in (self.before, *self.after)

    @property
    def fills_disk(self) -> bool:
        return self.before is Strike.DISK_FULL

    @property
    def signals_deployer(self) -> bool:
        return bool({Strike.INTERRUPT, Strike.TERMINATE} & {self.before, *self.after})

    @property
    def may_lose_outcome(self) -> bool:
        """Whether the deployer can't know whether a request that it sent took effect, even if it never arrived."""
        struck = self.signals_deployer or self.fills_disk or Strike.POSTGRES in (self.before, *self.after)
        if isinstance(self.answer, Reply):
            return self.forward is not Forward.NEVER or not self.answer.is_refusal
        return struck or self.answer is not Answer.PASS


_INTERNAL = '{"success": false, "error": {"code": "internal_error", "message": "internal error"}}'
_HTML = "<!doctype html><title>Gateway</title><p>Please try again later."
_NEVER, _NOW = Forward.NEVER, Forward.NOW


def _page(status: int) -> Reply:
    return Reply(status, _HTML, "text/html")


_FAULTS = (
    Fault("connection dropped before", _NEVER, Answer.DROP),
    Fault("connection dropped after", _NOW, Answer.DROP),
    Fault(
        "401",
        _NEVER,
        Reply(401, '{"error": {"code": "unauthorized", "message": "the API key is not valid"}}'),
    ),
    Fault("429 with Retry-After", _NEVER, Reply(429, '{"error": "slow down"}', headers={"Retry-After": "1"})),
    Fault("500 before", _NEVER, Reply(500, _INTERNAL)),
    Fault("500 after", _NOW, Reply(500, _INTERNAL)),
    Fault("502 page before", _NEVER, _page(502)),
    Fault("503 with Retry-After", _NEVER, Reply(503, '{"error": "busy"}', headers={"Retry-After": "1"})),
    Fault("504 page after", _NOW, _page(504)),
    Fault("200 page before", _NEVER, _page(200)),
    Fault("200 page after", _NOW, _page(200)),
    Fault("response cut off", _NOW, Answer.TRUNCATE),
    Fault("response held back", _NOW, Answer.HOLD),
    Fault("request arrives soon after", Forward.SOON, Answer.DROP),
    Fault("request arrives after the end", Forward.LATER, Answer.DROP),
    Fault("duplicate after the end", Forward.TWICE),
    Fault("SIGKILL before", _NEVER, Answer.DROP, before=Strike.KILL),
    Fault("SIGKILL after", _NOW, Answer.DROP, after=(Strike.KILL,)),
    Fault("SIGKILL, request arrives after", Forward.LATER, Answer.DROP, before=Strike.KILL),
    Fault("SIGINT before", before=Strike.INTERRUPT),
    Fault("SIGINT after", after=(Strike.INTERRUPT,)),
    Fault("SIGTERM before", before=Strike.TERMINATE),
    Fault("SIGTERM after", after=(Strike.TERMINATE,)),
    Fault("platform killed before", _NEVER, Answer.DROP, before=Strike.PLATFORM),
    Fault("platform killed after", _NOW, Answer.DROP, after=(Strike.PLATFORM,)),
    Fault("PostgreSQL killed before", before=Strike.POSTGRES),
    Fault("PostgreSQL killed after", after=(Strike.POSTGRES,)),
    Fault("disk full", before=Strike.DISK_FULL),
    Fault("clock jumps forward", after=(Strike.CLOCK_FORWARD,)),
    Fault("clock jumps back, SIGKILL", _NOW, Answer.DROP, after=(Strike.CLOCK_BACK, Strike.KILL)),
)
FAULTS = {fault.name: fault for fault in _FAULTS}
