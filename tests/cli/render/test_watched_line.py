"""The line that says what `watch` and `dev` listen to."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from threading import Event

import pytest

from mosaic_deploy.cli.render.build_report import BuildLine
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.render.text.edits import watched_line


@pytest.mark.parametrize(
    ("folders", "inputs", "names"),
    [
        ((), (), "the manifest"),
        (("public", "migrations"), (), "public, migrations"),
        ((".",), (), "this folder"),
        (("migrations", "src", "public"), ("src", "public"), "migrations and the build's inputs"),
        (("src",), ("src",), "the build's inputs"),
        (tuple("abcdef"), (), "a, b, c, d, e, f"),
        (tuple("abcdefg"), (), "a, b, c, d, e and 2 more folders"),
        ((*"abcdefg", "src"), ("src",), "a, b, c, d, e, 2 more folders and the build's inputs"),
    ],
)
def test_what_is_watched(folders, inputs, names):
    assert watched_line(folders, inputs) == f"Watching {names}. Press Ctrl-C to stop."


def test_a_build_that_takes_long_has_a_line_when_it_runs() -> None:
    shown, seen = list[str](), Event()

    class Shown(Screen):
        def print_notice(self, lines: Iterable[str]) -> None:
            shown.extend(lines)
            seen.set()

    slow = BuildLine(Shown(), slow=0.0)
    slow.began("npm run build", "src/a.ts changed")
    assert seen.wait(10)
    assert shown[0].endswith(" src/a.ts changed → building: npm run build")
    slow.over()
    quick = BuildLine(Shown(), slow=3600.0)
    quick.began("npm run build", "")
    [timer] = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    quick.over()
    timer.join(10)
    assert not timer.is_alive()
    assert len(shown) == 1
