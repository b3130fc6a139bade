"""Files of the last deploy that a plan from another checkout would replace."""

from __future__ import annotations

import pytest

from mosaic_deploy.diff.file_notes import replaced_work_note
from mosaic_deploy.model.change import Action, DeleteStatic, PutStatic

LAST = {
    "holder": "ada@laptop (pid 1)",
    "finished_at": "2020-01-01T12:00:00+00:00",
    "report": {"done": ["static:a.html", "static:b.html", "migration:1.sql"]},
}


def put(path: str, action: Action = Action.CHANGE) -> PutStatic:
    return PutStatic(path, "a" * 64, 1, action, "")


def test_files_of_the_last_deploy_are_named():
    note = replaced_work_note([put("a.html"), DeleteStatic("b.html", ""), put("c.html")], LAST)
    assert note
    assert note.addresses == ("static:a.html", "static:b.html")
    assert note.message == (
        "replaces or deletes 2 files of the last deploy (2020-01-01, by ada@laptop (pid 1)), which this folder may not have: "
        "a.html, b.html"
    )


@pytest.mark.parametrize("last", [{}, {"report": None}, {"report": {"done": None}}, LAST])
def test_other_files_are_no_work_of_others(last):
    assert replaced_work_note([put("c.html"), put("a.html", Action.ADD)], last) is None
