"""The objects in a plain `pg_dump --schema-only`, named as rehearsals name them.

Left out: the arguments of functions in comments, the names of NOT NULL constraints, and comments on extensions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_QUALIFIED = rf"{_NAME}(?:\.{_NAME})?"
_HEADER = re.compile(r"^--\n-- Name: (.*); Type: ([A-Z ]+); Schema: .*; Owner: .*\n--\n", re.MULTILINE)
_NOISE = re.compile(r"^(?:--.*|\\(?:un)?restrict .*|SET default_\w+ = .*|)\n", re.MULTILINE)
_NAMED_NOT_NULL = re.compile(rf"CONSTRAINT {_NAME} (?=NOT NULL)")
_PLAIN_KINDS = {
    "SCHEMA": "schema",
    "EXTENSION": "extension",
    "TYPE": "type",
    "SHELL TYPE": "type",
    "DOMAIN": "domain",
    "VIEW": "view",
    "MATERIALIZED VIEW": "materialized view",
    "FUNCTION": "function",
    "PROCEDURE": "procedure",
    "AGGREGATE": "aggregate",
    "STATISTICS": "statistics",
    "EVENT TRIGGER": "event trigger",
    "PUBLICATION": "publication",
}
_ON_TABLE = {
    "CONSTRAINT": "constraint",
    "FK CONSTRAINT": "constraint",
    "CHECK CONSTRAINT": "constraint",
    "TRIGGER": "trigger",
    "POLICY": "policy",
    "RULE": "rule",
}

Key = tuple[str, str, str]
"""Kind, name and parent."""
Dumped = Mapping[Key, tuple[str, ...]]
"""Of each object, the parts of statements that make it."""


@dataclass
class _Reader:
    found: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))
    attached: dict[str, str] = field(default_factory=dict)
    """What is said later of an index or a constraint of this name."""

    def add(self, kind: str, name: str, parent: str, text: str) -> None:
        self.found[kind, name, parent].append(text)

    def entry(self, kind: str, text: str) -> None:
        """One entry of the dump: the object of its header, with statements that belong to it."""
        if kind in ("TABLE", "FOREIGN TABLE"):
            self._table("table" if kind == "TABLE" else "foreign table", text)
        elif kind in ("SEQUENCE", "SEQUENCE OWNED BY"):
            self._sequence(text)
        elif kind in _PLAIN_KINDS:
            self._plain(_PLAIN_KINDS[kind], text)
        elif kind in _ON_TABLE:
            self._on_table(_ON_TABLE[kind], text)
        elif kind == "INDEX":
            pattern = rf"CREATE (UNIQUE )?INDEX ({_NAME}) ON (?:ONLY )?({_QUALIFIED}) (.*)"
            unique, name, table, definition = _match(pattern, text)
            self.add("index", name, plain(table), definition + unique)
        elif kind == "ACL":
            for line in text.splitlines():
                self._grant(line)
        elif kind == "DEFAULT ACL":
            for line in text.splitlines():
                self._default_privileges(line)
        elif kind == "COMMENT":
            self._comment(text)
        else:
            self._altered(kind, text)

    def _table(self, kind: str, text: str) -> None:
        create, *more = text.split(";\n")
        head, _, rest = create.partition("(\n")
        body, _, tail = rest.rpartition("\n)")
        name = plain(_match(rf"TABLE ({_QUALIFIED})", head)[0])
        self.add(kind, name, "", f"{head.strip()} {tail.strip()}")
        for line in re.split(r",\n    (?=\S)", body.removeprefix("    ")) if body else ():
            self._table_line(name, line)
        for statement in more:
            self._alter_table(kind, name, statement)

    def _table_line(self, table: str, line: str) -> None:
        line = _NAMED_NOT_NULL.sub("", line)
        if line.startswith("CONSTRAINT "):
            name, definition = _match(rf"CONSTRAINT ({_NAME}) (.*)", line)
            self.add("constraint", name, table, definition)
        elif found := re.match(rf"NOT NULL ({_NAME})", line):
            self.add("column", found[1], table, "NOT NULL")
        else:
            name, definition = _match(rf"({_NAME})\s+(.*)", line)
            self.add("column", name, table, definition)

    def _alter_table(self, kind: str, table: str, statement: str) -> None:
        column = re.search(rf"ALTER (?:COLUMN )?({_NAME}) ((?:SET|ADD) .*)", statement, re.DOTALL)
        if column:
            self.add("column", column[1], table, column[2])
        elif statement.strip():
            self.add(kind, table, "", statement.strip())

    def _sequence(self, text: str) -> None:
        identity = re.search(
            rf"ALTER TABLE (?:ONLY )?({_QUALIFIED}) ALTER COLUMN ({_NAME}) ADD (GENERATED .* AS IDENTITY) \(\s*"
            rf"SEQUENCE NAME ({_QUALIFIED})(.*)\);",
            text,
            re.DOTALL,
        )
        if identity:
            table, column, generated, name, parameters = identity.groups()
            self.add("column", column, plain(table), generated)
            self.add("sequence", plain(name), "", f"{parameters.strip()} OWNED BY {plain(table)}.{column}")
        else:
            self.add("sequence", plain(_match(rf"SEQUENCE ({_QUALIFIED})", text)[0]), "", text)

    def _plain(self, kind: str, text: str) -> None:
        if kind in ("function", "procedure", "aggregate"):
            # Its identity is in the statement about its owner; CREATE has the defaults of arguments as well.
            name = _match(rf"\nALTER {kind.upper()} (.*) OWNER TO", text)[0]
            self.add(kind, name.replace("public.", ""), "", text)
            return
        place = rf"(?:CREATE|ALTER)[A-Z ]*? {kind.upper()} (?:IF NOT EXISTS )?({_QUALIFIED})"
        self.add(kind, plain(_match(place, text)[0]), "", text)

    def _on_table(self, kind: str, text: str) -> None:
        added = re.search(
            rf"ALTER (?:FOREIGN )?TABLE (?:ONLY )?({_QUALIFIED})\s+ADD CONSTRAINT ({_NAME}) (.*);",
            text,
            re.DOTALL,
        )
        if not added:
            name, table = _match(rf"{kind.upper()} ({_NAME}) .*?\b(?:ON|TO) ({_QUALIFIED})[\s;]", text)
            self.add(kind, name, plain(table), text)
        elif column := re.match(rf"NOT NULL ({_NAME})", added[3]):
            self.add("column", column[1], plain(added[1]), added[3])
        else:
            self.add(kind, added[2], plain(added[1]), added[3])

    def _grant(self, line: str) -> None:
        verb, of, place, who = _match(
            rf"^(GRANT|REVOKE) (.*?) ON (.*) (?:TO|FROM) ({_NAME})(?: WITH GRANT OPTION)?;$", line, line
        )
        kind, _, name = place.partition(" ")
        owner = plain(name) if kind != "SCHEMA" else f"schema {name}"
        columns = re.findall(rf"\(({_NAME})\)", of)
        grantee = who.lower() if who == "PUBLIC" else who
        self.add("grant", f"{grantee} ({columns[0]})" if columns else grantee, owner, f"{verb} {of} {line}")

    def _default_privileges(self, line: str) -> None:
        pattern = rf"FOR ROLE ({_NAME}) (?:IN SCHEMA ({_NAME}) )?(?:GRANT|REVOKE) .* ON (\w+)S (?:TO|FROM) ({_NAME})"
        role, schema, objects, who = _match(pattern, line)
        inside = f" in {schema}" if schema else ""
        grantee = who.lower() if who == "PUBLIC" else who
        self.add("default privileges", f"on {objects.lower()}s of {role}{inside} for {grantee}", "", line)

    def _comment(self, text: str) -> None:
        kind, name, table = _match(
            rf"COMMENT ON ([A-Z ]+?) ({_QUALIFIED}(?:\.{_NAME})?(?:\(.*?\))?)(?: ON ({_QUALIFIED}))? IS ",
            text,
        )
        if kind == "EXTENSION":
            return
        shown = plain(name).partition("(")[0]
        self.add("comment", f"{kind.lower()} {shown}" + (f" on {plain(table)}" if table else ""), "", text)

    def _altered(self, kind: str, text: str) -> None:
        """An entry that changes an object of another entry, or is of a kind that no history has."""
        if kind == "DEFAULT":
            pattern = rf"TABLE (?:ONLY )?({_QUALIFIED}) ALTER COLUMN ({_NAME}) SET (.*);"
            table, column, definition = _match(pattern, text)
            self.add("column", column, plain(table), definition)
            return
        if kind == "INDEX ATTACH":
            parent, child = _match(rf"INDEX ({_QUALIFIED}) ATTACH PARTITION ({_QUALIFIED});", text)
            self.attached[child.rpartition(".")[2]] = f"PARTITION OF {parent}"
            return
        patterns = {
            "ROW SECURITY": ("table", rf"TABLE (?:ONLY )?({_QUALIFIED}) ENABLE"),
            "TABLE ATTACH": ("table", rf"ATTACH PARTITION ({_QUALIFIED}) "),
            "PUBLICATION TABLE": ("publication", rf"PUBLICATION ({_NAME}) "),
        }
        assert kind in patterns, f"{kind}: {text}"
        to, pattern = patterns[kind]
        self.add(to, plain(_match(pattern, text)[0]), "", text)


def _match(pattern: str, text: str, shown: str = "") -> tuple[str, ...]:
    found = re.search(pattern, text, re.DOTALL)
    assert found, f"{pattern} doesn't match {shown or text}"
    return tuple(each or "" for each in found.groups())


def plain(name: str) -> str:
    """The name without `public.`."""
    return name.removeprefix("public.")


def dumped_objects(dump: str, owner: str) -> Dumped:
    """Every object in the dump. `owner` is the role whose database it is, which is `owner` in the texts."""
    text = dump.replace(f'"{owner}"', "owner").replace(owner, "owner")
    reader = _Reader()
    headers = list(_HEADER.finditer(text))
    ends = [each.start() for each in headers[1:]] + [len(text)]
    for header, end in zip(headers, ends, strict=True):
        reader.entry(header[2], _NOISE.sub("", text[header.end() : end]))
    for kind, name, parent in list(reader.found):
        if kind in ("index", "constraint") and name in reader.attached:
            reader.add(kind, name, parent, reader.attached[name])
    return {key: tuple(sorted(texts)) for key, texts in reader.found.items()}


def words(text: str) -> list[str]:
    """What the text says, whatever the order, the brackets and the qualification of its parts are."""
    return sorted(re.findall(r"'[^']*'|\w+|[^\w\s(),;']+", re.sub(r"\b(?:public|pg_catalog)\.", "", text)))
