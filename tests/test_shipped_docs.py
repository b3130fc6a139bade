"""The pages that `explain` and agents read."""

import pytest

from mosaic_deploy import errors
from mosaic_deploy.shipped_docs import doc_names, find_explanation, read_doc, read_explanations, similar_codes


@pytest.mark.parametrize("kind", [each for each in errors.all_errors() if not each.__subclasses__()])
def test_every_error_is_explained(kind: type[errors.MosaicError]) -> None:
    found = find_explanation(kind.code)
    assert found is not None
    assert found.source == "errors.md"
    assert "**Fix.**" in found.text
    assert "## " not in found.text


def test_findings_are_explained_too() -> None:
    found = find_explanation("`DROP_TABLE`")
    assert found is not None
    assert found.source == "lint.md"


def test_codes_are_explained_once() -> None:
    codes = [each.code for each in read_explanations()]
    assert len(codes) == len(set(codes))


def test_near_codes() -> None:
    assert find_explanation("lease_hold") is None
    assert similar_codes("lease_hold")[0] == "lease_held"


def test_only_pages_are_read() -> None:
    assert "errors.md" in doc_names()
    for name in ("../README.md", "todo.png", "nothing.md"):
        with pytest.raises(FileNotFoundError):
            read_doc(name)
