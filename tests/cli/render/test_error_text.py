"""Errors for people: many equal problems are grouped, and all are in JSON."""

from __future__ import annotations

import base64
import hashlib

import click

from mosaic_deploy.cli.render.json_documents import error_document
from mosaic_deploy.cli.render.text.error import error_lines
from mosaic_deploy.errors import Location, Problem, TransfersFailed


def lines(problems: list[Problem]) -> list[str]:
    error = TransfersFailed("many uploads failed", problems=problems)
    return [click.unstyle(line) for line in error_lines(error)][1:]


def failed(number: int, why: str = "HTTP 500") -> Problem:
    message = f"can't upload pages/{number}.html: {why} (request {number:08x}f00dbeef)"
    return Problem(message, Location(f"pages/{number}.html"))


def test_equal_failures_are_named_first_and_then_counted() -> None:
    many = [failed(number) for number in range(1968)]
    shown = lines(many)
    assert len(shown) == 4
    assert shown[0].startswith("pages/0.html: can't upload pages/0.html: HTTP 500")
    assert shown[3] == "  … and 1,965 more like these; --output json lists all"
    assert len(error_document(TransfersFailed("x", problems=many))["problems"]) == 1968


def test_failures_that_all_differ_are_listed_up_to_a_limit() -> None:
    word = "abcdefghijklmnopqrstuvwxyz"
    many = [failed(n, f"locked by {word[n % 26]}{word[n // 26 % 26]}{word[n // 676]}") for n in range(1968)]
    shown = lines(many)
    assert len(shown) == 51
    assert shown[-1] == "  … and 1,918 more; --output json lists all"


def test_names_without_their_folder_and_long_ids_do_not_tell_failures_apart() -> None:
    ids = [hashlib.sha256(str(number).encode()).digest() for number in range(300)]
    many = [
        Problem(
            f"page{number}.png was refused (request {base64.b64encode(one).decode()}, {one[:6].hex().upper()})",
            Location(f"pages/page{number}.png"),
        )
        for number, one in enumerate(ids)
    ]
    assert len(lines(many)) < 10


def test_each_kind_of_failure_is_shown() -> None:
    mixed = [
        failed(number, "HTTP 403" if number % 400 == 7 else "connection reset") for number in range(1968)
    ]
    shown = lines(mixed)
    assert sum("HTTP 403" in line for line in shown) == 5
    assert sum("connection reset" in line for line in shown) == 3
    assert shown[-1] == "  … and 1,960 more like these; --output json lists all" or "1,960 more" in "\n".join(
        shown
    )


def test_a_few_problems_and_those_with_a_diff_are_all_shown() -> None:
    assert len(lines([failed(number) for number in range(10)])) == 10
    edited = [Problem("was edited", Location(f"{number}.sql"), diff="-a\n+b") for number in range(12)]
    assert sum("was edited" in line for line in lines(edited)) == 12


def test_names_of_tables_are_not_numbers() -> None:
    drops = [Problem(f"drops table t{number}", Location("sql/2.sql", number)) for number in range(1, 31)]
    assert len(lines(drops)) == 30
