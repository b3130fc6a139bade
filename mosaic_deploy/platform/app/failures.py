"""What goes wrong below an operation, as the API says it: the database away, the store away, the disk full."""

from __future__ import annotations

import errno

import psycopg
from obstore.exceptions import BaseError
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout

from mosaic_deploy.platform.faults import Fault

# As the object store's library words them; it has no codes.
_FULL_WORDS = (
    "No space left on device",
    "os error 28)",
    "File too large",
    "os error 27)",
    "Disk quota exceeded",
)
_FULL_NUMBERS = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
# A folder for the store that can't be reached or written just now.
_AWAY_NUMBERS = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE)
_LATER = {"Retry-After": "1"}


def fault_of(error: Exception) -> Fault | None:
    """The answer to an error that is nobody's defect; None for one that is."""
    if is_full(error):
        return Fault(507, "disk_full", "the platform's disk is full; nothing was changed")
    if isinstance(error, psycopg.OperationalError | PoolTimeout | PoolClosed):
        message = "the platform's database doesn't answer; try again"
        return Fault(503, "database_unavailable", message, headers=_LATER)
    if isinstance(error, BaseError) or (isinstance(error, OSError) and error.errno in _AWAY_NUMBERS):
        return Fault(
            503, "store_unavailable", "the platform's store doesn't answer; try again", headers=_LATER
        )
    return None


def is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL_NUMBERS
    if isinstance(error, BaseError):
        return any(words in str(error) for words in _FULL_WORDS)
    return isinstance(error, errors.DiskFull)
