"""The dashboard's tables in a real browser, with scripts: typing, saving, following links, and a phone's width."""

from __future__ import annotations

import json

import pytest
from browser import Page, find_chromium, opened_browser

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")

_UNNAMED = """[...document.querySelectorAll('main input:not([type=hidden]), main select, main textarea, main button, main a')]
  .filter(one => !(one.labels && one.labels.length) && !one.ariaLabel && !one.innerText.trim()).map(one => one.outerHTML)"""


def click(page: Page, selector: str) -> None:
    page.wait_for(f"document.readyState === 'complete' && !!document.querySelector({selector!r})")
    page.value(f"document.querySelector({selector!r}).click()")


def test_a_row_is_found_edited_and_followed(api, project) -> None:
    project_id = project("In the browser")
    api.sql(
        project_id,
        "CREATE TABLE authors (id int PRIMARY KEY, name text NOT NULL, about text); INSERT INTO authors VALUES (1, 'Ada', NULL);"
        " CREATE TABLE books (id int PRIMARY KEY, author int REFERENCES authors, title text, facts jsonb);"
        """ INSERT INTO books VALUES (7, 1, '<img src=x onerror="document.title=1">', '{"pages": [1, 2]}')""",
    )
    base = f"{api.root}/projects/{project_id}/tables"
    with opened_browser() as page:
        page.go(api.post(api.root + "/open").json()["url"], lands_on=api.root + "/")
        page.go(base)
        click(page, 'main tbody a[href*="books"]')
        page.wait_for("document.title.includes('Tables') && document.body.innerText.includes('facts')")
        assert '<img src=x onerror="document.title=1">' in page.text()
        click(page, 'td a[href*="authors"]')
        page.wait_for("document.body.innerText.includes('Ada')")
        click(page, 'a[aria-label="Open row 1"]')
        page.wait_for("!!document.querySelector('#value3')")
        assert page.value("document.querySelector('[name=is3]').value") == "null"

        page.value("document.querySelector('#value3').focus()")
        page.call("Input.insertText", text='wrote "notes"\n')
        assert page.value("document.querySelector('[name=is3]').value") == "value"
        for kind in ("keyDown", "keyUp"):
            page.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key="Enter",
                code="Enter",
                modifiers=2,
                windowsVirtualKeyCode=13,
            )
        page.wait_for("document.readyState === 'complete' && document.body.innerText.includes('Saved.')")
        assert api.sql(project_id, "SELECT about FROM authors") == [{"about": 'wrote "notes"\n'}]

        click(page, 'a[href*="books"]')
        page.wait_for("location.search.includes('books')")
        click(page, 'a[aria-label="Open row 1"]')
        click(page, "button.danger")
        page.wait_for("document.body.innerText.includes('Delete this row?')")
        click(page, "main button.danger")
        page.wait_for("document.body.innerText.includes('No rows.')")
        assert api.sql(project_id, "SELECT * FROM books") == []

        page.call(
            "Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=True
        )
        for path in ("", "/rows?schema=public&table=authors", "/structure?schema=public&table=books",
                     "/new?schema=public&table=books", "/row?schema=public&table=authors&row=%5B%221%22%5D"):  # fmt: skip
            page.go(base + path)
            assert page.value("document.documentElement.scrollWidth") <= 360, path
            assert json.loads(page.value(f"JSON.stringify({_UNNAMED})")) == [], path
        assert page.console_errors() == []
