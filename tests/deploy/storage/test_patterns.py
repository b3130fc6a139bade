"""Names of storage files chosen by name, folder or glob."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.storage.patterns import chosen_names, listed_names
from mosaic_deploy.errors import StorageFileMissing

NAMES = frozenset(
    {
        "a.png",
        "b c'd.png",
        "-x.png",
        "images/a.png",
        "images/sub/b.png",
        "images/sub/c.txt",
        "é.png",
        "a[1].png",
        "*",
    }
)


@pytest.mark.parametrize(
    ("argument", "chosen"),
    [
        ("a.png", {"a.png": "a.png"}),
        ("b c'd.png", {"b c'd.png": "b c'd.png"}),
        ("-x.png", {"-x.png": "-x.png"}),
        ("é.png", {"é.png": "é.png"}),
        ("images/a.png", {"images/a.png": "a.png"}),
        ("images/", {"images/a.png": "a.png", "images/sub/b.png": "sub/b.png", "images/sub/c.txt": "sub/c.txt"}),
        ("images/*", {"images/a.png": "a.png"}),
        ("images/*/", {"images/sub/b.png": "sub/b.png", "images/sub/c.txt": "sub/c.txt"}),
        ("images/**", {"images/a.png": "a.png", "images/sub/b.png": "sub/b.png", "images/sub/c.txt": "sub/c.txt"}),
        ("images/sub/?.png", {"images/sub/b.png": "b.png"}),
        ("images/sub/[!b].*", {"images/sub/c.txt": "c.txt"}),
        ("images/**/b.png", {"images/sub/b.png": "sub/b.png"}),
        ("**/a.png", {"a.png": "a.png", "images/a.png": "images/a.png"}),
        ("?.png", {"a.png": "a.png", "é.png": "é.png"}),
        ("[a-c].png", {"a.png": "a.png"}),
        # A name is itself, also with characters of a glob.
        ("a[1].png", {"a[1].png": "a[1].png"}),
        ("*", {"*": "*"}),
    ],
)  # fmt: skip
def test_what_an_argument_chooses(argument: str, chosen: dict[str, str]) -> None:
    assert chosen_names([argument], NAMES) == chosen


@pytest.mark.parametrize(
    ("arguments", "message", "problems"),
    [
        (["a.pngs"], "not in storage", ["a.pngs: no such file; did you mean a.png?"]),
        (["images"], "not in storage", ["images: is a folder; write images/ for all files below it"]),
        (["none/", "x*"], "not in storage", ["none/: matches nothing", "x*: matches nothing"]),
        (["a.png", "[z-a]"], "not all of these are in storage", ["[z-a]: matches nothing"]),
        (["A.PNG"], "not in storage", ["A.PNG: no such file"]),
    ],
)
def test_what_chooses_nothing(arguments: list[str], message: str, problems: list[str]) -> None:
    with pytest.raises(StorageFileMissing) as raised:
        chosen_names(arguments, NAMES)
    assert (raised.value.message, [str(problem) for problem in raised.value.problems]) == (message, problems)


def test_only_the_first_missing_names_get_a_suggestion() -> None:
    with pytest.raises(StorageFileMissing) as raised:
        chosen_names([f"a.png{n}" for n in range(8)], NAMES)
    assert [problem.hint is not None for problem in raised.value.problems] == [True] * 5 + [False] * 3


@pytest.mark.parametrize(
    ("argument", "listed"),
    [
        ("images/s", ["images/sub/b.png", "images/sub/c.txt"]),
        ("b", ["b c'd.png"]),
        ("images/*", ["images/a.png"]),
    ],
)
def test_listing_takes_a_prefix_or_a_glob(argument: str, listed: list[str]) -> None:
    assert listed_names(argument, NAMES) == listed
