"""What `storage ls` prints for people."""

from __future__ import annotations

import pytest

from mosaic_deploy.cli.commands.storage import ls
from mosaic_deploy.cli.commands.storage.ls import no_match_line

BASE = "https://storage.example/brave-otter-1234/"
FILES = [("a b.png", 27_300, f"{BASE}a%20b.png"), ("images/welcome.png", None, f"{BASE}images/welcome.png")]


def lines(monkeypatch, width, base=BASE):
    for module in (ls, ls.table.__globals__):
        set_item = monkeypatch.setitem if isinstance(module, dict) else monkeypatch.setattr
        set_item(module, "output_width", lambda _: width)
    return list(ls._file_lines(FILES, base))


@pytest.mark.parametrize("width", [None, 120])
def test_urls_are_a_column_if_they_fit(monkeypatch, width):
    found = lines(monkeypatch, width)
    assert found[-1] == f"images/welcome.png  ?        {BASE}images/welcome.png"
    assert len(found) == 4


def test_in_a_narrow_terminal_a_file_is_one_line(monkeypatch):
    found = lines(monkeypatch, 60)
    assert found[2:] == ["a b.png             27.3 kB", "images/welcome.png  ?", f"url: {BASE}NAME"]
    assert all(len(line) <= 60 for line in found)


def test_urls_that_differ_in_more_than_the_name_are_shown_whole(monkeypatch):
    assert f"  url: {BASE}a%20b.png" in lines(monkeypatch, 60, base="")


@pytest.mark.parametrize(
    ("prefix", "names", "expected"),
    [
        ("", (), "no storage files"),
        ("img", (), "no storage files"),
        ("img", ("images/a.png", "images/b.png", "x.txt"), "no name begins with img; in storage: 3 files (images/, x.txt)"),
        ("*.png", ("images/a.png",), "no name matches *.png; in storage: 1 file (images/)"),
        ("z", tuple("abcdef"), "no name begins with z; in storage: 6 files (a, b, c, d, e, …)"),
    ],
)  # fmt: skip
def test_no_match(prefix, names, expected):
    assert no_match_line(prefix, names) == expected
