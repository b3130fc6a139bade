"""Storage quota checks."""

import pytest

from mosaic_deploy.diff.limits import quota_notes, refuse_over_quota
from mosaic_deploy.errors import QuotaExceeded
from mosaic_deploy.live.api.responses import parse_usage
from mosaic_deploy.model.change import Action, DeleteStorageFile, PutStatic, PutStorageFile
from mosaic_deploy.model.plan import Severity
from mosaic_deploy.model.snapshot import Object, ObjectState, StorageUsage

GB = 10**9


def put(path: str, size: int) -> PutStorageFile:
    return PutStorageFile(path, "a" * 64, size, Action.ADD, "new")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            {"used": "1.2 GB", "limit": "20 GB", "percent": 6.0},
            StorageUsage(1_200_000_000, 20 * GB, exact=False),
        ),
        ({"used": "0 B", "limit": "1 TB"}, StorageUsage(0, 1000 * GB, exact=False)),
        ({"used": "12kB", "limit": "20 GiB"}, StorageUsage(12_000, 20 * GB, exact=False)),
        ({"used": "1", "limit": "2 GB", "used_bytes": 7, "limit_bytes": 9}, StorageUsage(7, 9)),
        ({"used": "some", "limit": "20 GB"}, None),
        ({"percent": 6.0}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_parsed_from_bytes_or_texts(answer: object, found: StorageUsage | None) -> None:
    assert parse_usage({"files": [], "usage": answer}) == found


def test_no_note_without_storage_uploads() -> None:
    static = PutStatic("a.css", "a" * 64, 5, Action.ADD, "new")
    assert quota_notes((), {}, StorageUsage(1, 2)) == ()
    assert quota_notes((static,), {}, StorageUsage(1, 2)) == ()
    assert quota_notes((put("a", 1),), {}, None) == ()


def test_note_counts_net_growth() -> None:
    live = {
        "replaced": Object("replaced", "b" * 64, 3_000_000),
        "drifted": Object("drifted", "b" * 64, 1, ObjectState.DRIFTED, listed_size=1_000_000),
        "missing": Object("missing", "b" * 64, 9_000_000, ObjectState.MISSING),
    }
    changes = (put("replaced", 4_000_000), put("drifted", 2_000_000), put("missing", 500_000))
    [note] = quota_notes(changes, live, StorageUsage(5_000_000, 20_000_000))
    assert note.message == "storage: 5.0 MB of 20.0 MB used; this apply adds 2.5 MB"
    assert note.severity is Severity.INFO


def test_a_deleted_file_frees_space() -> None:
    live = {"a": Object("a", "b" * 64, 3_000_000)}
    changes = (put("b", 1_000_000), DeleteStorageFile("a", "not in the project"))
    [note] = quota_notes(changes, live, StorageUsage(5_000_000, 20_000_000))
    assert note.message.endswith("this apply frees 2.0 MB")


def test_smaller_file_frees_space() -> None:
    live = {"a": Object("a", "b" * 64, 3_000_000)}
    [note] = quota_notes((put("a", 1_000_000),), live, StorageUsage(30_000_000, 20_000_000))
    assert "frees 2.0 MB" in note.message


def test_exact_limit_is_exact_to_the_byte() -> None:
    [note] = quota_notes((put("a", 5),), {}, StorageUsage(5, 10))
    assert note.severity is Severity.WARNING
    with pytest.raises(QuotaExceeded) as caught:
        quota_notes((put("a", 4), put("b", 2)), {}, StorageUsage(5, 10))
    assert caught.value.message == "storage quota exceeded: 5 B of 10 B used, and this apply would add 6 B"
    assert [str(p.location) for p in caught.value.problems] == ["a", "b"]


def test_limit_from_text_has_a_tolerance() -> None:
    usage = StorageUsage(19 * GB, 20 * GB, exact=False)
    assert quota_notes((put("a", 2 * GB),), {}, usage)[0].severity is Severity.WARNING
    with pytest.raises(QuotaExceeded):
        quota_notes((put("a", 4 * GB),), {}, usage)


@pytest.mark.parametrize(
    ("sizes", "listed", "fits"),
    [
        ({"a": 5}, {}, True),
        ({"a": 6}, {}, False),
        ({"a": 6}, {"a": 1}, True),
        ({"a": 7}, {"a": 1}, False),
        ({"a": 7}, {"a": None}, True),
        ({"a": 7, "b": 1}, {"a": 1, "b": 2}, True),
        ({"a": 50}, {"a": 50}, True),
        ({}, {"a": 50}, True),
    ],
)
def test_refusal_by_sizes_alone(sizes: dict[str, int], listed: dict[str, int | None], fits: bool) -> None:
    if fits:
        refuse_over_quota(sizes, listed, StorageUsage(5, 10))
    else:
        with pytest.raises(QuotaExceeded):
            refuse_over_quota(sizes, listed, StorageUsage(5, 10))


def test_refusal_names_the_largest_new_files() -> None:
    sizes = {"there": 9 * GB, "other": 2 * GB, "new": 3 * GB}
    with pytest.raises(QuotaExceeded) as caught:
        refuse_over_quota(sizes, {"there": 9 * GB, "other": GB}, StorageUsage(10 * GB, 12 * GB))
    assert [str(problem) for problem in caught.value.problems] == [
        "new: 3.0 GB, new",
        "other: 2.0 GB, replaced",
    ]
