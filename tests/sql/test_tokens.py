"""Names and strings of a text: as PostgreSQL's parser reads them."""

import pytest

from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.pg_parser.tokens import tokens
from mosaic_deploy.sql.tree import walk

STRINGS = [
    "'it''s'", "$$it's$$", "$a$ $b$ ' $a$", "'foo'\n'bar'", "'foo' -- it's\n  'bar'", r"'c:\'", r"E'\x62\u00e9\'a''b\\'",
    "E'\\\\'\n'\\n'", r"E'\303\251'", r"E'\U0001F600'", r"U&'\0062!'", r"U&'!0062\' uescape '!'", r"U&'\\ \+01F600 \D83D\DE00'",
    r"U&'*0062' /* ' */ UESCAPE -- '" + "\n'*'", "N'n'", "''''", "'/* -- $$'",
]  # fmt: skip
NAMES = ["a", "ÄB", '"b"', '"w ""q"""', r'U&"\0070re"', r'U&"!0070re" UESCAPE ' + "'!'", "x" * 70, f'"a{"é" * 40}"',
         "a$b", "e", "u", "_1"]  # fmt: skip


@pytest.mark.parametrize("text", STRINGS)
def test_strings_are_those_of_the_parse_tree(text: str) -> None:
    [statement] = parse(f"SELECT {text}, 1")
    [parsed] = [node["sval"]["sval"] if node["sval"] else "" for _, node in walk(statement.tree) if "sval" in node
                and isinstance(node["sval"], dict)]  # fmt: skip
    assert [one.value for one in tokens(statement.text) if not one.is_name] == [parsed]


@pytest.mark.parametrize("text", NAMES)
def test_names_are_those_of_the_parse_tree(text: str) -> None:
    sql = f"SELECT /* a */ 'b' -- c\n FROM {text} -- d"
    [parsed] = [node["relname"] for _, node in walk(parse(sql)[0].tree) if "relname" in node]
    [(at, value)] = [(one.at, one.value) for one in tokens(sql) if one.is_name][2:3]
    assert (sql[at:].startswith(text), value) == (True, parsed)


def test_what_has_no_value_or_no_end() -> None:
    assert [one.value for one in tokens(r"U&'\zz' E'\xff' a")] == [None, None, "a"]
    assert [one.value for one in tokens("EXECUTE $b$ 'x' AND 'y")] == ["execute", "x", "and", "y"]
