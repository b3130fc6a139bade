"""Reading a manifest: finding it, limits, locations, and arbitrary input. See also test_manifest_cases.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from mosaic_deploy.errors import ManifestInvalid, ManifestMissing, SourceUnreadable
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.source.manifest import yaml_tree
from mosaic_deploy.source.manifest.dotenv import read_dotenv
from mosaic_deploy.source.manifest.find import MINIMAL_MANIFEST
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.source.manifest.values import parse_duration


@pytest.fixture(autouse=True)
def run_in_project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages show paths relative to the current folder."""
    monkeypatch.chdir(tmp_path)


def write_manifest(folder: Path, text: str | bytes) -> Path:
    file = folder / "mosaic.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def problems_of(file: Path, **chosen: Any) -> list[str]:
    with pytest.raises(ManifestInvalid) as raised:
        read_manifest(file, environ={}, **chosen)
    return [str(problem).removeprefix(file.name) for problem in raised.value.problems]


def test_a_file_of_any_name_can_be_given(tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("version: 1\n")
    manifest = read_manifest(file, environ={})
    assert manifest == Manifest(file=file)
    assert manifest.root == tmp_path


def test_an_empty_folder_gets_next_actions(tmp_path: Path) -> None:
    with pytest.raises(ManifestMissing) as raised:
        read_manifest(tmp_path, environ={})
    assert raised.value.message == f"no manifest in {tmp_path}: looked for mosaic.yaml and mosaic.yml"
    assert MINIMAL_MANIFEST in str(raised.value.hint)
    assert [action.command for action in raised.value.next_actions] == [
        f"mosaic-deploy init {tmp_path}",
        "mosaic-deploy schema",
    ]


def test_the_minimal_manifest_is_valid(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    manifest = read_manifest(write_manifest(tmp_path, MINIMAL_MANIFEST), environ={})
    assert manifest.project.name == "todo"


@pytest.mark.parametrize("name", ["Mosaic.YAML", "mosaic.yaml.txt", "mosaik.yaml"])
def test_a_similar_file_name_is_suggested(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ManifestMissing) as raised:
        read_manifest(tmp_path, environ={})
    assert f"did you mean {tmp_path / name}?" in str(raised.value.hint)


def test_a_manifest_in_a_parent_folder_is_suggested(tmp_path: Path) -> None:
    file = write_manifest(tmp_path, "version: 1\n")
    (tmp_path / "sub").mkdir()
    with pytest.raises(ManifestMissing) as raised:
        read_manifest(tmp_path / "sub", environ={})
    hint = f"there is one in a parent folder: {file}; to deploy that project, run the command there"
    assert raised.value.hint == hint


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(ManifestMissing, match="doesn't exist"):
        read_manifest(tmp_path / "nowhere" / "mosaic.yaml", environ={})


def test_a_fifo_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceUnreadable, match="neither a file nor a folder"):
        read_manifest(tmp_path / "pipe", environ={})


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_an_impossible_path(path: str) -> None:
    with pytest.raises((SourceUnreadable, ManifestMissing)):
        read_manifest(Path(path), environ={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    write_manifest(tmp_path, "version: 1\n").chmod(0)
    with pytest.raises(SourceUnreadable, match="Permission denied"):
        read_manifest(tmp_path, environ={})


def test_a_file_too_large(tmp_path: Path) -> None:
    file = write_manifest(tmp_path, b"#" * (1024 * 1024 + 1))
    assert problems_of(file) == [": larger than 1 MiB, the limit; check that this is the right file"]


def test_too_many_values(tmp_path: Path) -> None:
    file = write_manifest(tmp_path, "version: 1\nx: [" + "1," * 20_000 + "]\n")
    assert "more than 10,000 values" in problems_of(file)[0]


def test_a_problem_carries_its_line(tmp_path: Path) -> None:
    file = write_manifest(tmp_path, "version: 1\nstatic:\n  dri: public\n")
    with pytest.raises(ManifestInvalid) as raised:
        read_manifest(file, environ={})
    (problem,) = raised.value.problems
    assert problem.location.text == "  dri: public"
    assert (problem.location.line, problem.location.column) == (3, 3)
    assert raised.value.message == "1 mistake in mosaic.yaml"


def test_paths_are_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app").mkdir()
    write_manifest(tmp_path / "app", "version: 2\n")
    monkeypatch.chdir(tmp_path)
    for path in (Path("app"), tmp_path / "app", Path("app/mosaic.yaml")):
        with pytest.raises(ManifestInvalid) as raised:
            read_manifest(path, environ={})
        assert str(raised.value.problems[0]).startswith("app/mosaic.yaml:1:10 version: must be 1")


def test_dotenv_alone(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path) == {}
    (tmp_path / ".env").mkdir()
    assert read_dotenv(tmp_path) == {}
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").write_text("A=1\n")
    assert read_dotenv(tmp_path) == {"A": "1"}
    (tmp_path / ".env").write_text("secret words\n")
    with pytest.raises(ManifestInvalid) as raised:
        read_dotenv(tmp_path)
    assert "secret" not in "".join([str(raised.value), *map(repr, raised.value.problems)])


def test_variable_values_are_never_in_errors(tmp_path: Path) -> None:
    text = "version: ${A}\nproject: {id: '${A}', name: '${A}\\\n'}\nstatic: {dir: '${A}', prune: '${A}', exclude: ['${A}']}\n"
    with pytest.raises(ManifestInvalid) as raised:
        read_manifest(write_manifest(tmp_path, text), environ={"A": "S3cret/" * 30})
    assert len(raised.value.problems) >= 4
    assert "S3cret" not in "".join([str(raised.value), *map(repr, raised.value.problems)])


def test_a_variable_that_is_not_utf8(tmp_path: Path) -> None:
    file = write_manifest(tmp_path, "version: 1\nproject: {name: '${A}'}\n")
    with pytest.raises(ManifestInvalid, match="1 mistake"):
        read_manifest(file, environ={"A": "\udcff"})


@pytest.mark.parametrize(
    ("text", "length"),
    [("10s", 10), ("500ms", 0.5), ("2min", 120), ("1h", 3600), ("1.5s", 1.5), (3, 3), (0, 0)],
)
def test_durations(text: str | int, length: float) -> None:
    assert parse_duration(text) == pytest.approx(length)


def test_a_valid_manifest_imports_nothing_slow(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    write_manifest(tmp_path, MINIMAL_MANIFEST + "environments: {a: {project: {id: '${ID}'}}}\n")
    program = (
        "import sys; from pathlib import Path; from mosaic_deploy.source.manifest.read import read_manifest;"
        "read_manifest(Path(sys.argv[1]), environ={});"
        "print(*sorted(sys.modules.keys() & {'jsonschema', 'difflib', 'mosaic_deploy.source.manifest.schema_messages', 'httpx', 'click'}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "\n"


# Any manifest that conforms to the schema is accepted, and its values are kept.
# PyYAML writes text that is a number only in YAML 1.2 (08, 1e3) without quotes, which is rejected.
def is_not_numeric(text: str) -> bool:
    return text[0] not in "+-.0123456789"


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=100).filter(
    is_not_numeric
)
PATHS = st.from_regex(r"/[a-z0-9]{1,8}(\.html)?", fullmatch=True)
PATTERNS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1), max_size=3
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


MANIFESTS = st.fixed_dictionaries(
    {"version": st.just(1)},
    optional={
        "project": some(
            name=NAMES, id=st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True).filter(is_not_numeric)
        ),
        "database": some(
            extensions=st.lists(
                st.from_regex(r"[a-z_][a-z0-9_-]{0,10}", fullmatch=True), unique=True, max_size=3
            ),
            migrations=st.just("migrations"),
            lock_timeout=st.one_of(st.integers(0, 9999), st.sampled_from(["10s", "500ms", "2min", "1h"])),
            statement_timeout=st.floats(1, 8192, width=16),
        ),
        "static": st.fixed_dictionaries(
            {"dir": st.just("public")},
            optional={"include": PATTERNS, "exclude": PATTERNS, "prune": st.booleans()},
        ),
        "storage": st.fixed_dictionaries(
            {"dir": st.just("public")},
            optional={"prefix": st.sampled_from(["", "a/", "a/b/"]), "include": PATTERNS},
        ),
        "auth": some(
            magic_link=st.fixed_dictionaries(
                {"redirect_url": PATHS},
                optional={"allowed_redirect_urls": st.lists(PATHS, unique=True, max_size=3)},
            )
        ),
        "verify": some(
            http=st.lists(
                st.fixed_dictionaries(
                    {"path": PATHS}, optional={"status": st.integers(100, 599), "contains": NAMES}
                ),
                max_size=3,
            )
        ),
    },
)


def escaped(value: Any) -> Any:
    """The value with `${` escaped."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: escaped(member) for key, member in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list) else value


def is_contained(given_value: Any, read: Any) -> bool:
    if isinstance(given_value, dict):
        return all(is_contained(member, read[key]) for key, member in given_value.items())
    if isinstance(given_value, list):
        return len(given_value) == len(read) and all(map(is_contained, given_value, read))
    return bool(given_value == read or (isinstance(given_value, str) and parse_duration(given_value) == read))


def contains_numeric_text(value: Any) -> bool:
    """Whether it contains text that is a number in YAML 1.2 but not in PyYAML, which writes it without quotes."""
    if isinstance(value, dict):
        return any(map(contains_numeric_text, value.values()))
    if isinstance(value, list):
        return any(map(contains_numeric_text, value))
    return isinstance(value, str) and re.fullmatch(r"[-+]?[0-9._]+(e[-+]?[0-9]+)?", value, re.I) is not None


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # YAML has no surrogate escapes


def as_unicode(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=True)


@pytest.mark.parametrize("as_text", [yaml.safe_dump, as_json, as_unicode])
@pytest.mark.parametrize("in_environment", [False, True])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(value=MANIFESTS)
def test_written_manifests_are_read_back(
    tmp_path: Path, as_text: Any, in_environment: bool, value: dict[str, Any]
) -> None:
    assume(as_text is as_json or not contains_numeric_text(value))
    for folder in ("public", "migrations"):
        (tmp_path / folder).mkdir(exist_ok=True)
    whole = escaped(value)
    if in_environment:
        whole = {"version": whole.pop("version"), "environments": {"e": whole}}
    file = write_manifest(tmp_path, as_text(whole))
    manifest = asdict(read_manifest(file, environ={}, environment="e" if in_environment else None))
    expected = {key: member for key, member in value.items() if key not in ("version", "auth", "verify")}
    assert is_contained(expected, manifest)
    assert is_contained(value.get("verify", {}).get("http", []), manifest["verify"]["http"])
    if link := value.get("auth", {}).get("magic_link"):
        assert is_contained(link, manifest["magic_link"])


# fmt: off
FRAGMENTS = st.sampled_from([
    "version: 1", "\n", "  ", "- ", ": ", "[", "]", "{", "}", "&a ", "*a", "<<: ", "!!str ", "!x ", "${A}", "${",
    "$${", "'", '"', "\\", "project", "static", "dir", "environments", "e", "null", "no", "0123", "1e3", "12:30",
    "2024-01-01", "\t", "#", "---\n", "? ", "|\n", ">\n", "\u2028", "\x85", "é", "\ufeff", "@", "%YAML 1.1\n",
    "99999999999999999999", ".inf", "~", "=",
])
# fmt: on
INPUTS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(FRAGMENTS, max_size=30).map(lambda parts: "".join(parts).encode()),
    st.lists(FRAGMENTS, max_size=30).map(
        lambda parts: ("version: 1\nstatic:\n  dir: " + "".join(parts)).encode()
    ),
)


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(raw=INPUTS)
@example(raw=b"x: " + b"9" * 5000)
@example(raw=b"x: " + b"1:" * 3000 + b"1")
@example(raw=b"x: 0x" + b"f" * 9000)
@example(raw=b"[" * 100_000)
@example(raw=b"{a: " * 50_000)
@example(raw=b"- " * 50_000)
@example(raw=b'"\\ud800": "\\ud800"')
@example(raw=b"environments: {e: [1]}\nversion: &a {<<: [*a]}")
def test_any_bytes_give_a_manifest_or_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: str, raw: bytes
) -> None:
    monkeypatch.setattr(yaml_tree, "_LOADER", getattr(yaml, loader))
    file = write_manifest(tmp_path, raw)
    for environment in (None, "e"):
        try:
            read_manifest(file, environ={"A": "x"}, environment=environment)
        except ManifestInvalid as error:
            assert error.problems
            for problem in error.problems:
                str(problem).encode()
                assert "".join(str(problem).split()).isprintable()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    raw=st.one_of(
        st.binary(max_size=100),
        st.lists(st.sampled_from([*"A=\"'# \n\\", "export "])).map(lambda parts: "".join(parts).encode()),
    )
)
def test_any_dotenv_gives_variables_or_problems(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / ".env").write_bytes(raw)
    try:
        assert all(name.isidentifier() for name in read_dotenv(tmp_path))
    except ManifestInvalid as error:
        assert error.problems
