"""`redact` removes secrets and values from the platform's messages."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.cli.support_ticket import redact

_PLANTED = (
    "value '{}' is odd",
    "it isn't there: '{}",
    'said "{}" and stopped',
    "the query was: SELECT {} FROM t",
    "near insert into t values ({})",
    "update t set a = {} where b",
    "Key (email)=({}) already exists",
    "Failing row contains ({}, 2)",
    "at postgres://app:{}@db/x in time",
    "https://files.example/put?signature={}",
    "password={}",
    "password: {}",
    "Authorization: Bearer {}",
    "key mk_{}",
    "$${}$$",
    "$body${}$body$",
    "E'a\\'{}'",
    "user {}@example.org",
    "setting app.secret={}",
    "`{}`",
)
_VALUES = st.text(string.ascii_letters + string.digits, min_size=6, max_size=30).map(lambda text: f"zq{text}")


@pytest.mark.parametrize("planted", _PLANTED)
@given(value=_VALUES)
def test_secrets_and_values_are_removed(planted: str, value: str) -> None:
    assert value not in redact(planted.format(value))
    assert value not in redact(f"so it is\n{planted.format(value)} and so on")


@pytest.mark.parametrize(
    "plain",
    [
        "the database ended the session",
        "no answer from api.mosaic.site to POST: timed out",
        "service unavailable",
        "it isn’t ready (HTTP 503)",
    ],
)
def test_plain_words_are_kept(plain: str) -> None:
    assert redact(plain) == plain


@given(st.text())
def test_redacted_text_is_one_short_line(text: str) -> None:
    found = redact(text)
    assert len(found) <= 300
    assert "\n" not in found
