"""The line that says what `watch` and `dev` listen to."""

from __future__ import annotations

import pytest

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
