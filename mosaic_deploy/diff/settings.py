"""Auth settings: what is declared against what the ledger says was declared last."""

from __future__ import annotations

import json

from mosaic_deploy.model.change import Action, SetAuth
from mosaic_deploy.model.snapshot import Settings


def diff_auth(desired: Settings | None, live: Settings | None) -> SetAuth | None:
    """The change that makes the declared settings live; None where they are, or none are declared."""
    if desired is None or desired == live:
        return None
    text = json.dumps(desired, sort_keys=True, ensure_ascii=False)
    if live is None:
        return SetAuth(text, Action.ADD, "not set yet")
    names = sorted(k for k in desired.keys() | live.keys() if desired.get(k) != live.get(k))
    return SetAuth(text, Action.CHANGE, f"{', '.join(names)} changed")
