"""The law: rows that stay in their file become the same statements as rows in the text."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.sql.dump import read_script
from mosaic_deploy.sql.parse import semantic_checksum
from mosaic_deploy.sql.scripts import copy_batches
from mosaic_deploy.sql.scripts.mistakes import ScriptInvalid
from mosaic_deploy.sql.scripts.outside_rows import outside_line, whole_text
from mosaic_deploy.sql.scripts.scan import scan


@dataclass
class InPieces:
    rows: str
    piece: int

    @property
    def size(self) -> int:
        return len(self.rows.encode())

    @property
    def lines(self) -> int:
        return self.rows.count("\n")

    def pieces(self) -> Iterator[str]:
        for at in range(0, len(self.rows), self.piece):
            yield self.rows[at : at + self.piece]

    def read(self, first_byte: int, last_byte: int, digest: str) -> str:
        content = self.rows.encode()[first_byte:last_byte]
        assert sha256(content).hexdigest() == digest
        return content.decode()


def taken_out(text: str, piece: int) -> tuple[str, dict[int, InPieces]]:
    """The text with empty lines in place of all rows, and the rows."""
    parts, outside, at, length = [], {}, 0, 0
    for copy in scan(text).copies:
        rows = InPieces(text[copy.start : copy.end], piece)
        parts += [text[at : copy.start], "\n" * rows.lines]
        length += copy.start - at
        outside[length] = rows
        length += rows.lines
        at = copy.end
    return "".join([*parts, text[at:]]), outside


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch) -> None:
    monkeypatch.setattr(copy_batches, "BATCH_LENGTH", 40)


FORMATS = {
    "text": ("", st.sampled_from(["a", "é😀", "\\N", "\\\n", "b\\tc", "", "x" * 50])),
    "csv": ("WITH (FORMAT csv)", st.sampled_from(["a", '"q, ""r\n"', "", "é😀", '"' + "y\n" * 30 + '"'])),
    "header": ("WITH (FORMAT csv, HEADER)", st.sampled_from(["1", '"2\n"', "", '""'])),
}
TABLES = st.lists(
    st.sampled_from(list(FORMATS)).flatmap(
        lambda name: st.tuples(
            st.just(name), st.lists(st.tuples(FORMATS[name][1], FORMATS[name][1]), min_size=1, max_size=12)
        )
    ),
    min_size=1,
    max_size=3,
)


@given(tables=TABLES, piece=st.integers(1, 90))
def test_the_statements_are_the_same(tables, piece) -> None:
    text = "SELECT 1;\n"
    for name, rows in tables:
        lines = "".join(("\t" if name == "text" else ",").join(row) + "\n" for row in rows)
        text += f"COPY t (a, b) FROM stdin {FORMATS[name][0]};\n{lines}\\.\nSELECT 2;\n"
    short, outside = taken_out(text, piece)
    inside, found = read_script(text), read_script(short, outside)
    assert [one.text for one in found] == [one.text for one in inside]
    assert semantic_checksum(found) == semantic_checksum(inside)
    assert whole_text(short, outside) == text
    for one, other in zip(inside, found, strict=True):
        at = len(one.written) - 1
        assert line(text, one.file_offset(at)) == line(short, other.file_offset(at))


def line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


@pytest.mark.parametrize("options", ["", "WITH (FORMAT csv, DELIMITER E'\\t')"])
@pytest.mark.parametrize("piece", [7, 100, 10_000])
def test_a_row_with_too_many_values_has_its_line(options, piece) -> None:
    rows = "".join(f"{n}\tx\n" for n in range(60)) + "60\tx\ty\n61\tx\n"
    short, outside = taken_out(f"SELECT 1;\nCOPY t (a, b) FROM stdin {options};\n{rows}\\.\n", piece)
    with pytest.raises(ScriptInvalid) as caught:
        read_script(short, outside)
    [mistake] = caught.value.mistakes
    assert mistake.message == "extra data after last expected column"
    assert line(short, mistake.offset) == 63
    assert outside_line(outside, mistake.offset) == "60\tx\ty"


def test_a_quote_without_an_end_is_found() -> None:
    short, outside = taken_out('COPY t (a) FROM stdin WITH (FORMAT csv);\n1\n"2\n3\n\\.\n', 2)
    with pytest.raises(ScriptInvalid, match="unterminated quote"):
        read_script(short, outside)
