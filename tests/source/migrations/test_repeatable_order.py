"""The order of repeatable files: each after those that make what it uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.source.migrations.repeatable import RepeatableFile, read_repeatables


def order(root: Path, files: dict[str, str]) -> list[str]:
    (root / "views").mkdir()
    for name, text in files.items():
        (root / "views" / name).write_text(text)
    (root / "mosaic.yaml").write_text("version: 1\nproject: {name: x}\ndatabase: {repeatable: views}\n")
    files_in_order, objects = read_repeatables(read_manifest(root))
    assert [file.relative_path for file in files_in_order] == list(objects)
    return [Path(name).stem for name in objects]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("CREATE VIEW v AS SELECT * FROM w", "CREATE VIEW w AS SELECT 1"),
        ("CREATE VIEW v AS SELECT * FROM a.w", "CREATE VIEW a.w AS SELECT 1"),
        ("CREATE VIEW v AS SELECT f(1)", "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql RETURN 1"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM W'", "CREATE VIEW w AS SELECT 1"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM \"UserStats\"'",
            'CREATE VIEW "UserStats" AS SELECT 1',
        ),
    ],
)
def test_a_file_comes_after_the_one_that_it_needs(tmp_path: Path, first: str, second: str) -> None:
    assert order(tmp_path, {"a.sql": first, "b.sql": second}) == ["b", "a"]


def test_others_and_those_that_need_each_other_stay_by_name(tmp_path: Path) -> None:
    files = {
        "a.sql": "CREATE VIEW v AS SELECT * FROM w",
        "b.sql": "CREATE VIEW w AS SELECT * FROM v",
        "c.sql": "CREATE VIEW x AS SELECT * FROM other.w",
        "d.sql": "CREATE VIEW mine.w AS SELECT 1",
    }
    assert order(tmp_path, files) == ["a", "b", "c", "d"]


def test_only_files_that_may_need_each_other_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def uses(self: RepeatableFile, other: RepeatableFile) -> bool:
        compared.append(self.path)
        return True

    monkeypatch.setattr(RepeatableFile, "uses", uses)
    last = {"z.sql": "CREATE VIEW last AS SELECT * FROM v5"}
    order(tmp_path, {f"{n}.sql": f"CREATE VIEW v{n} AS SELECT * FROM t" for n in range(20)} | last)
    assert compared == ["views/z.sql"]
