"""Error responses for failures of the infrastructure: database or object store unavailable, disk full."""

from __future__ import annotations

import errno

import psycopg
from obstore.exceptions import BaseError
from psycopg import errors

from mosaic_deploy.platform.faults import Fault

# obstore reports the operating system's errors only as text.
_DISK_FULL_MESSAGES = (
    "No space left on device",
    "os error 28)",
    "File too large",
    "os error 27)",
    "Disk quota exceeded",
)
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
# The store's folder can't be reached or written, for example on a network file system.
_UNAVAILABLE_ERRNOS = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE)
_RETRY_HEADERS = {"Retry-After": "1"}


def fault_from_error(error: Exception) -> Fault | None:
    """The response to an infrastructure failure; None if the error is a bug."""
    if is_disk_full(error):
        return Fault(507, "disk_full", "the platform's disk is full; nothing was changed")
    if isinstance(error, psycopg.OperationalError):
        message = "the platform's database isn't responding; try again"
        return Fault(503, "database_unavailable", message, headers=_RETRY_HEADERS)
    if isinstance(error, BaseError) or (isinstance(error, OSError) and error.errno in _UNAVAILABLE_ERRNOS):
        message = "the platform's object store isn't responding; try again"
        return Fault(503, "store_unavailable", message, headers=_RETRY_HEADERS)
    return None


def is_disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL_ERRNOS
    if isinstance(error, BaseError):
        return any(words in str(error) for words in _DISK_FULL_MESSAGES)
    return isinstance(error, errors.DiskFull)
