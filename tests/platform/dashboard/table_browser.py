"""A browser without scripts for the dashboard's pages of tables: reads forms and rows, and sends forms as browsers do."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx


class TableBrowser:
    """Pages below /projects/ID/tables. `problem` is the last page's message."""

    def __init__(self, api: Any, client: httpx.Client, project_id: str) -> None:
        self.api, self.client, self.project_id = api, client, project_id
        self.base = f"/projects/{project_id}/tables"
        self.page = ""

    def sql(self, query: str) -> list[dict[str, Any]]:
        return list(self.api.sql(self.project_id, query))

    def get(self, path: str, **query: Any) -> str:
        """The page's HTML. `path` is below `base`, or whole."""
        url = (
            self.base + path
            if path.startswith("?")
            else path
            if path.startswith("/")
            else f"{self.base}/{path}".rstrip("/")
        )
        response = self.client.get(f"{url}?{urlencode(query)}" if query else url)
        assert response.status_code == 200, (path, response.text)
        self.page = response.text
        return self.page

    def rows(self, table: str, schema: str = "public", **query: Any) -> list[list[str | None]]:
        self.get("rows", schema=schema, table=table, **query)
        return self.shown()

    def shown(self) -> list[list[str | None]]:
        """The rows of the page, without the column of links; None for NULL."""
        body = self.page.partition("<tbody>")[2].partition("</tbody>")[0]
        cells = (re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)[1:] for row in body.split("</tr>")[:-1])
        return [[_cell(cell) for cell in row] for row in cells]

    def follow(self, label: str) -> bool:
        """Opens the link with this text, if there is one."""
        found = re.search(rf'<a href="([^"]*)"[^>]*>{re.escape(label)}</a>', self.page)
        if found:
            self.get(html.unescape(found[1]))
        return found is not None

    def row(self, table: str, *key: str, schema: str = "public") -> dict[str, str]:
        """The form of a row."""
        self.get("row", schema=schema, table=table, row=json.dumps(key))
        return self.form()

    def new(self, table: str, schema: str = "public") -> dict[str, str]:
        self.get("new", schema=schema, table=table)
        return self.form()

    def form(self) -> dict[str, str]:
        """The fields of the page's last form of the method POST. Names of columns stand for their numbers."""
        parser = _Form()
        parser.feed(self.page.rpartition('<form method="post"')[2].partition("</form>")[0])
        return parser.fields

    def send(self, fields: dict[str, str], page: str = "row", **more: str) -> str:
        """The text of the page that comes of it, without tags."""
        given = {**fields, **more}
        # As browsers do.
        data = {name: re.sub(r"\r\n|\r|\n", "\r\n", text) for name, text in given.items()}
        response = self.client.post(f"{self.base}/{page}", data=data, headers={"Origin": self.api.root})
        if response.status_code == 303:
            return self.get(response.headers["Location"]) and self.text()
        self.page = response.text
        return self.text() if response.status_code == 200 else str(response.json()["error"]["code"])

    def agree(self) -> str:
        """Sends the form that asks."""
        target = re.findall(r'<form method="post" action="[^"]*/tables/(\w+)"', self.page)[-1]
        return self.send(self.form(), target)

    def text(self) -> str:
        main = re.sub(r"<textarea.*?</textarea>", " ", self.page.partition("<main")[2], flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def _cell(text: str) -> str | None:
    if 'class="null">NULL<' in text:
        return None
    if 'class="null">empty<' in text:
        return ""
    return html.unescape(re.sub(r"<[^>]*>", "", text))


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._text = self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "input":
            self.fields[values["name"]] = values.get("value", "")
        elif tag == "textarea":
            self._text = values["name"]
            self.fields[self._text] = ""
        elif tag == "select":
            self._select = values["name"]
        elif tag == "option" and ("selected" in values or self._select not in self.fields):
            self.fields[self._select] = values["value"]

    def handle_data(self, data: str) -> None:
        if self._text:
            self.fields[self._text] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            # Browsers drop the first line end, and have one kind of them.
            text = re.sub(r"\r\n|\r", "\n", self.fields[self._text])
            self.fields[self._text] = text.removeprefix("\n")
            self._text = ""
