"""The shipped pages, and the explanations that `explain` and agents read."""

from pathlib import Path

import pytest
import yaml

from mosaic_deploy import errors
from mosaic_deploy.shipped_docs import (
    doc_names,
    find_explanation,
    read_doc,
    read_explanations,
    search_explanations,
    similar_codes,
)


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


def test_every_code_of_the_api_is_explained() -> None:
    text = (Path(__file__).parents[1] / "schemas" / "openapi.yaml").read_text()
    codes = yaml.safe_load(text)["components"]["schemas"]["ErrorCode"]["enum"]
    assert [code for code in codes if find_explanation(code) is None] == []
    of_api = [each.code for each in read_explanations() if each.source == "api-errors.md"]
    assert set(of_api) <= set(codes)


def test_words_are_searched_in_all_explanations() -> None:
    assert search_explanations(["token", "used"])[0].code == "token_used"
    assert {"token_used", "redirect_not_allowed"} <= {
        each.code for each in search_explanations(["magic", "link"])
    }
    assert search_explanations(["nonsense"]) == []
    assert all(each.summary.endswith(".") and "**" not in each.summary for each in read_explanations())


def test_only_shipped_pages_can_be_read() -> None:
    assert "errors.md" in doc_names()
    for name in ("../README.md", "todo.png", "nothing.md"):
        with pytest.raises(FileNotFoundError):
            read_doc(name)
