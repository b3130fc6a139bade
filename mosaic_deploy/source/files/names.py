"""Names that can't be sent, that collide, or that will collide on another machine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.plan import Note, Severity

MAX_NAME_BYTES = 512
"""Bytes of a whole name on the platform, folders and prefix included."""
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f-\x9f]")


def name_problem(shown: str, name: str) -> Problem | None:
    """Why the file `shown` can't be sent as `name`, None where it can."""
    if _FORBIDDEN.search(shown):
        return Problem("a backslash or control character in the name", Location(repr(shown)))
    try:
        length = len(name) if name.isascii() else len(name.encode())
        shown.encode()
    except UnicodeEncodeError:
        return Problem("a name that isn't valid UTF-8", Location(shown.encode("utf-8", "replace").decode()))
    if length > MAX_NAME_BYTES:
        message = f"a name of {length} bytes, and at most {MAX_NAME_BYTES} can be sent"
        return Problem(message, Location(shown), hint="shorten it, or exclude the file")
    return None


def unicode_duplicate_problems(names: Iterable[str]) -> Iterator[Problem]:
    """Names that are one to every reader and two to the computer: their letters are composed differently."""
    first: dict[str, str] = {}
    for name in names:
        if name.isascii():
            continue
        other = first.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            message = (
                f"the same name as {_name_with_form(other)} in another Unicode form: {_name_with_form(name)}"
            )
            yield Problem(message, Location(name), hint="rename one of the two, or delete it")


def _name_with_form(name: str) -> str:
    """With the name of its form: names of different ones look alike."""
    forms = (form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, name))
    return f"{name if name.isprintable() else ascii(name)} ({next(forms, 'mixed')})"


def similar_name_notes(kind: str, names: Iterable[str]) -> Iterator[Note]:
    """Warnings for names that are one file on other machines, and for letters in an unusual form.

    The platform keeps them apart. macOS and Windows don't tell case apart, and Windows drops dots and spaces
    from the end of a name: a deploy from there would lose one of the two.
    """
    first: dict[str, str] = {}
    for name in _with_folders(names):
        other = first.setdefault(_case_folded(name), name)
        if other != name:
            how = "case" if other.lower() == name.lower() else "case, or in dots and spaces at the end"
            message = f"{other} and {name} differ only in {how}: elsewhere they are one file"
            yield Note("names_alike", message, Severity.WARNING, (f"{kind}:{name}",))
    for name in names:
        if not name.isascii() and not unicodedata.is_normalized("NFC", name):
            message = f"{name} is spelled with combining letters (NFD): a page that links to it must spell it so too"
            yield Note("name_decomposed", message, Severity.WARNING, (f"{kind}:{name}",))


def _with_folders(names: Iterable[str]) -> Iterator[str]:
    """Each folder once, before what is in it: two folders that differ in case are told once, not per file."""
    told: set[str] = set()
    for name in names:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth]) + "/"
            if folder not in told:
                told.add(folder)
                yield folder
        yield name


def _case_folded(name: str) -> str:
    """What a machine that forgives most takes a name for."""
    folder, slash, last = name.rstrip("/").rpartition("/")
    folded = last.casefold().rstrip(". ")
    return f"{folder}{slash}{folded}{'/' if name.endswith('/') else ''}"
