"""File names that can't be uploaded, or that collide here or on another machine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.plan import Note, Severity

MAX_NAME_BYTES = 512
"""Maximum length of a name on the platform in bytes, with folders and prefix."""
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f-\x9f]")


def name_problem(relative_path: str, name: str) -> Problem | None:
    """Why the file `relative_path` can't be uploaded as `name`, None if it can."""
    if _FORBIDDEN.search(relative_path):
        return Problem("the name contains a backslash or control character", Location(repr(relative_path)))
    try:
        length = len(name) if name.isascii() else len(name.encode())
        relative_path.encode()
    except UnicodeEncodeError:
        return Problem(
            "the name isn't valid UTF-8", Location(relative_path.encode("utf-8", "replace").decode())
        )
    if length > MAX_NAME_BYTES:
        message = f"the name has {length} bytes, but the limit is {MAX_NAME_BYTES}"
        return Problem(message, Location(relative_path), hint="shorten it, or exclude the file")
    return None


def path_problem(name: str) -> Problem | None:
    """Why a name that a user chose can't be that of a file on the platform, None if it can."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        return Problem("the name has an empty part, `.` or `..` between slashes", Location(name))
    return name_problem(name, name)


def unicode_duplicate_problems(names: Iterable[str]) -> Iterator[Problem]:
    """Problems for names that look the same but differ in Unicode normalization."""
    first: dict[str, str] = {}
    for name in names:
        if name.isascii():
            continue
        other = first.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            message = (
                f"same name as {_name_with_form(other)} in another Unicode form: {_name_with_form(name)}"
            )
            yield Problem(message, Location(name), hint="rename or delete one of them")


def _name_with_form(name: str) -> str:
    """The name with its normalization form, because the names look the same."""
    forms = (form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, name))
    return f"{name if name.isprintable() else ascii(name)} ({next(forms, 'mixed')})"


def similar_name_notes(kind: str, names: Iterable[str]) -> Iterator[Note]:
    """Warnings for names that collide on other systems, and for decomposed Unicode letters.

    The platform distinguishes such names. macOS and Windows ignore case, and Windows drops trailing dots and spaces, so
    a deploy from there would lose one of the files.
    """
    first: dict[str, str] = {}
    for name in _with_folders(names):
        other = first.setdefault(_case_folded(name), name)
        if other != name:
            only_case = other.lower() == name.lower()
            difference = "case" if only_case else "case, or in dots and spaces at the end,"
            message = f"{other} and {name} differ only in {difference} and will collide on macOS and Windows"
            yield Note("names_alike", message, Severity.WARNING, (f"{kind}:{name}",))
    for name in names:
        if not name.isascii() and not unicodedata.is_normalized("NFC", name):
            message = f"{name} uses combining characters (NFD); links to it must use the same form"
            yield Note("name_decomposed", message, Severity.WARNING, (f"{kind}:{name}",))


def _with_folders(names: Iterable[str]) -> Iterator[str]:
    """The names, and each folder once before its content, so that similar folders are reported only once."""
    seen: set[str] = set()
    for name in names:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth]) + "/"
            if folder not in seen:
                seen.add(folder)
                yield folder
        yield name


def _case_folded(name: str) -> str:
    """The name as the least strict file system compares it."""
    folder, slash, last = name.rstrip("/").rpartition("/")
    folded = last.casefold().rstrip(". ")
    return f"{folder}{slash}{folded}{'/' if name.endswith('/') else ''}"
