"""What the ledger's rows should say of objects that no change of the plan is about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mosaic_deploy.diff.objects import undesired_paths
from mosaic_deploy.model.snapshot import NOT_LIVE_STATES, Object, Objects, ObjectState


@dataclass(frozen=True, slots=True)
class LedgerCleanup:
    """Rows of one kind to put right. Nothing live is touched by it."""

    forget: tuple[str, ...] = ()
    """Neither wanted nor live: an upload that never arrived, or a file that somebody else deleted."""
    mark: tuple[Object, ...] = ()
    """With the states that the rows should have."""

    def __bool__(self) -> bool:
        return bool(self.forget or self.mark)


def ledger_cleanup(desired: Objects | None, live: Objects | None, deleted: Collection[str]) -> LedgerCleanup:
    """The rows to put right once the plan is applied, which deletes the paths `deleted`.

    A file that is left live is remembered as `kept`, so that the ledger's digest is of wanted files alone and
    a plan without changes needn't read rows. Without a manifest's section (None) nothing is managed.
    """
    if desired is None or live is None:
        return LedgerCleanup()
    gone = [live[path] for path in undesired_paths(desired, live) if path not in deleted]
    return LedgerCleanup(
        forget=tuple(o.path for o in gone if o.state in NOT_LIVE_STATES),
        mark=(
            *(_as_kept(o) for o in gone if o.state not in _SETTLED_STATES),
            *(
                wanted
                for path, wanted in desired.items()
                if path in live and _is_wanted_again(wanted, live[path])
            ),
        ),
    )


_SETTLED_STATES = NOT_LIVE_STATES | {ObjectState.KEPT, ObjectState.UNMANAGED}


def _as_kept(item: Object) -> Object:
    """Its digest is kept only where it is known to be that of the live bytes."""
    return Object(
        item.path, item.sha256 if item.state is ObjectState.LIVE else "", item.size, ObjectState.KEPT
    )


def _is_wanted_again(wanted: Object, found: Object) -> bool:
    """Whether a file that was left live is wanted again, with the same content."""
    return found.state is ObjectState.KEPT and found.sha256 == wanted.sha256
