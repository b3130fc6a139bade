"""Seeds under other names than those they were run under."""

from __future__ import annotations

import pytest

from mosaic_deploy.diff.seeds import seed_notes
from mosaic_deploy.model.snapshot import Object, Project, Snapshot


def notes(
    live: dict[str, str], desired: dict[str, str], repeatable: frozenset[str] = frozenset()
) -> list[str]:
    both = [
        Snapshot(
            Project("p", "shop"), seeds={path: Object(path, digest * 64, 5) for path, digest in side.items()}
        )
        for side in (live, desired)
    ]
    before, after = both
    wanted = Snapshot(after.project, seeds=after.seeds, repeatable=repeatable)
    return [f"{note.code} {' '.join(note.addresses)}" for note in seed_notes(wanted, before)]


@pytest.mark.parametrize(
    ("live", "desired", "expected"),
    [
        ({"s/1_users.sql": "a"}, {"s/01_users.sql": "b"}, ["seed_renamed_and_edited seed:s/01_users.sql"]),
        ({"s/users.sql": "a"}, {"seeds/users.sql": "b"}, ["seed_renamed_and_edited seed:seeds/users.sql"]),
        ({"s/user.sql": "a"}, {"s/users.sql": "b"}, ["seed_renamed_and_edited seed:s/users.sql"]),
        ({"s/1_users.sql": "a"}, {"s/01_users.sql": "a"}, ["seed_renamed seed:s/01_users.sql"]),
        ({"s/1_users.sql": "a"}, {"s/1_users.sql": "b"}, []),
        ({"s/1_users.sql": "a"}, {"s/2_posts.sql": "b"}, []),
        ({"s/1_users.sql": "a"}, {"s/1_users.sql": "a", "s/2_users.sql": "b"}, []),
    ],
)  # fmt: skip
def test_a_renamed_seed(live, desired, expected):
    assert notes(live, desired) == expected


def test_a_repeatable_file_may_run_again():
    assert notes({"s/1_v.sql": "a"}, {"s/2_v.sql": "b"}, frozenset({"s/2_v.sql"})) == []
