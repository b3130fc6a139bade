"""What the ledger's rows should say of objects that no change of the plan is about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mosaic_deploy.diff.objects import unwanted
from mosaic_deploy.model.snapshot import GONE, Object, Objects, State


@dataclass(frozen=True, slots=True)
class Tidying:
    """Rows of one kind to put right. Nothing live is touched by it."""

    forget: tuple[str, ...] = ()
    """Neither wanted nor live: an upload that never arrived, or a file that somebody else deleted."""
    mark: tuple[Object, ...] = ()
    """With the states that the rows should have."""

    def __bool__(self) -> bool:
        return bool(self.forget or self.mark)


def tidying(desired: Objects | None, live: Objects | None, deleted: Collection[str]) -> Tidying:
    """The rows to put right once the plan is applied, which deletes the paths `deleted`.

    A file that is left live is remembered as `kept`, so that the ledger's digest is of wanted files alone and
    a plan without changes needn't read rows. Without a manifest's section (None) nothing is managed.
    """
    if desired is None or live is None:
        return Tidying()
    gone = [live[path] for path in unwanted(desired, live) if path not in deleted]
    return Tidying(
        forget=tuple(o.path for o in gone if o.state in GONE),
        mark=(
            *(_kept(o) for o in gone if o.state not in _SETTLED),
            *(wanted for path, wanted in desired.items() if path in live and _back(wanted, live[path])),
        ),
    )


_SETTLED = GONE | {State.KEPT, State.UNMANAGED}


def _kept(item: Object) -> Object:
    """Its digest is kept only where it is known to be that of the live bytes."""
    return Object(item.path, item.sha256 if item.state is State.LIVE else "", item.size, State.KEPT)


def _back(wanted: Object, found: Object) -> bool:
    """Whether a file that was left live is wanted again, with the same content."""
    return found.state is State.KEPT and found.sha256 == wanted.sha256
