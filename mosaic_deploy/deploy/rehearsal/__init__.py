"""Rehearses a plan: runs its pending migrations on a database of the embedded platform before anything live is touched.

The database starts as the live history makes it, and holds no live rows. May import `applying` and `planning`, as a rehearsal
runs the same steps as an apply. Begin with `rehearse.py`.
"""

from mosaic_deploy.deploy.rehearsal.rehearse import (
    has_anything_to_rehearse,
    not_rehearsed,
    rehearse,
    with_rehearsal,
)

__all__ = ["has_anything_to_rehearse", "not_rehearsed", "rehearse", "with_rehearsal"]
