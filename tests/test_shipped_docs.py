"""The shipped pages, and the explanations that `explain` and agents read."""

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


def test_lint_rules_are_explained() -> None:
    found = find_explanation("`DROP_TABLE`")
    assert found is not None
    assert found.source == "lint.md"


def test_each_code_is_explained_once() -> None:
    codes = [each.code for each in read_explanations()]
    assert len(codes) == len(set(codes))


def test_similar_codes_are_suggested() -> None:
    assert find_explanation("lock_hold") is None
    assert similar_codes("lock_hold")[0] == "lock_held"


def test_only_shipped_pages_can_be_read() -> None:
    assert "errors.md" in doc_names()
    for name in ("../README.md", "todo.png", "nothing.md"):
        with pytest.raises(FileNotFoundError):
            read_doc(name)
