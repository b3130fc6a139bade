"""Reads `mosaic.yaml` into a Manifest, or reports all of its mistakes at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mosaic_deploy.errors import Location, ManifestInvalid, Problem, SourceUnreadable
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.schema_files import read_schema
from mosaic_deploy.source.manifest.check_problems import check_problems
from mosaic_deploy.source.manifest.dotenv import parse_dotenv
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES, find_manifest
from mosaic_deploy.source.manifest.folders import FolderRules, folder_problems
from mosaic_deploy.source.manifest.interpolation import Interpolator
from mosaic_deploy.source.manifest.plain_values import (
    hiding_variables,
    locations_in,
    plain_value,
    written_texts,
)
from mosaic_deploy.source.manifest.schema_check import conforms, settle_words
from mosaic_deploy.source.manifest.text import SourceText, SourceTextError, read_source_text, source_text
from mosaic_deploy.source.manifest.values import (
    build_manifest,
    duration_problems,
    merge_overrides,
    valid_sections,
    with_build_defaults,
)
from mosaic_deploy.source.manifest.yaml_tree import Node, compose, describe_value, quoted

SCHEMA = "mosaic.schema.json"
ReadResult = tuple[Manifest, ManifestInvalid | None]
"""A valid manifest and None, or the valid part of an invalid one with its error."""


def read_manifest(
    path: Path,
    *,
    environment: str | None = None,
    environ: Mapping[str, str] = os.environ,
    missing_folders: bool = False,
    built: bool = False,
) -> Manifest:
    """The manifest at `path` (a file or its folder), merged with one environment's overrides.

    `missing_folders`: its folders and seeds needn't exist yet; `built`: those that the build makes must exist, too.
    Variables come from `environ`, then from `.env` beside the manifest. Raises ManifestMissing, ManifestInvalid with
    every Problem in order of position, or SourceUnreadable. Works offline and writes nothing.
    """
    manifest, invalid = try_read_manifest(
        path, environment=environment, environ=environ, missing_folders=missing_folders, built=built
    )
    if invalid:
        raise invalid
    return manifest


def try_read_manifest(
    path: Path,
    *,
    environment: str | None = None,
    environ: Mapping[str, str] = os.environ,
    missing_folders: bool = False,
    built: bool = False,
) -> ReadResult:
    """Like `read_manifest`, but returns the valid file and SQL sections of an invalid manifest, with its error.

    Raises ManifestInvalid if none of it can be used.
    """
    file = find_manifest(path)
    return _read(
        file,
        lambda: read_source_text(file, _display_path(file)),
        environment,
        environ,
        FolderRules(missing=missing_folders, built=built),
    )


def read_manifest_text(
    text: str, folder: Path, *, environment: str | None = None, environ: Mapping[str, str] = os.environ
) -> Manifest:
    """Like `read_manifest`, for a manifest `text` as if it were in `folder`/mosaic.yaml, which needn't exist."""
    manifest, invalid = try_read_manifest_text(text, folder, environment=environment, environ=environ)
    if invalid:
        raise invalid
    return manifest


def try_read_manifest_text(
    text: str, folder: Path, *, environment: str | None = None, environ: Mapping[str, str] = os.environ
) -> ReadResult:
    """Like `try_read_manifest`, for a manifest `text` as if it were in `folder`/mosaic.yaml."""
    file = folder / MANIFEST_NAMES[0]
    return _read(file, lambda: source_text(text.encode(), MANIFEST_NAMES[0]), environment, environ)


def _read(
    file: Path,
    read: Callable[[], SourceText],
    environment: str | None,
    environ: Mapping[str, str],
    folder_rules: FolderRules | None = None,
) -> ReadResult:
    display_path = _display_path(file)
    values, problems = parse_dotenv(file.parent, _display_path(file.parent / ".env"))
    reader = _ManifestReader(file, environment, {**values, **environ}, problems)
    reader.folder_rules = folder_rules or FolderRules()
    try:
        manifest = reader.manifest(read())
    except SourceTextError as error:
        manifest = None
        problems.append(error.problem)
    except OSError as error:
        raise SourceUnreadable(f"{display_path} can't be read: {error.strerror}") from None
    if manifest is not None and not problems:
        return manifest, None
    invalid = _invalid_error(display_path, problems)
    rest = reader.valid_part(invalid.problems)
    if rest is None:
        raise invalid
    return rest, invalid


class _ManifestReader:
    """Reads one manifest and adds its mistakes to `problems`."""

    def __init__(
        self, file: Path, environment: str | None, variables: Mapping[str, str], problems: list[Problem]
    ) -> None:
        self.file = file
        self.environment = environment
        self.variables = variables
        self.problems = problems
        self.schema = read_schema(SCHEMA)
        self.folder_rules = FolderRules()
        self.environments: tuple[str, ...] = ()
        self._read: tuple[Node, SourceText] | None = None

    def manifest(self, source: SourceText) -> Manifest | None:
        """The manifest, None if there are problems. Raises SourceTextError if it can't be parsed any further."""
        tree = compose(source, self.problems)
        if tree is None or tree.value is None:
            raise SourceTextError(
                Problem("the manifest is empty", Location(source.file), hint='start with "version: 1"')
            )
        if not isinstance(tree.value, dict):
            location = source.location(tree.line, tree.column)
            message = f"a manifest must be a map of fields, but this is {describe_value(tree.value)}"
            raise SourceTextError(Problem(message, location, hint='start with "version: 1"'))
        if "mosaic_deploy" in tree.value:
            hint = "only `mosaic-deploy apply` takes a plan; pass the manifest instead"
            raise SourceTextError(Problem("this is a plan, not a manifest", Location(source.file), hint=hint))
        interpolator = Interpolator(source, self.schema, self.variables, self.environment)
        whole = interpolator.interpolate_manifest(settle_words(tree, self.schema, self.schema))
        self.problems += interpolator.problems
        chosen = with_build_defaults(self.chosen_environment(whole, source))
        self.check_schema(whole, chosen, source)
        invalid = {problem.field for problem in self.problems}
        more = (
            *folder_problems(self.file.parent, chosen, source, self.folder_rules),
            *duration_problems(chosen, source),
            *check_problems(chosen, source),
        )
        self.problems += [problem for problem in more if problem.field not in invalid]
        if self.problems:
            self._read = chosen, source
            return None
        manifest = build_manifest(hiding_variables(chosen), self.file, self.environment)
        return replace(
            manifest,
            environments=self.environments,
            warnings=tuple(interpolator.warnings),
            written=dict(written_texts(chosen)),
            locations={**self.environments_location(whole, source), **dict(locations_in(chosen, source))},
        )

    def environments_location(self, whole: Node, source: SourceText) -> dict[str, Location]:
        assert isinstance(whole.value, dict)
        node = whole.value.get("environments")
        return {"environments": source.location(*node.key_at)} if node and node.key_at else {}

    def valid_part(self, problems: Sequence[Problem]) -> Manifest | None:
        """A manifest with only the valid file and SQL sections; None if valid and invalid can't be told apart."""
        if self._read is None:
            return None
        chosen, source = self._read
        valid = valid_sections(plain_value(chosen), problems, self.environment)
        if valid is None:
            return None
        manifest = build_manifest(valid, self.file, self.environment)
        return replace(manifest, locations=dict(locations_in(chosen, source)))

    def chosen_environment(self, whole: Node, source: SourceText) -> Node:
        """The manifest without `environments`, merged with the overrides of the chosen one."""
        assert isinstance(whole.value, dict)
        fields = dict(whole.value)
        environments = fields.pop("environments", None)
        base = Node(fields, whole.line, whole.column, whole.span)
        known = environments.value if environments and isinstance(environments.value, dict) else {}
        self.environments = tuple(known)
        if self.environment is None:
            return base
        if self.environment not in known:
            self.problems.append(
                _unknown_environment(
                    self.environment, [each for each in known if each.isprintable()], environments, source
                )
            )
            return base
        override = known[self.environment]
        return (
            merge_overrides(_without_pinned_id(base, override), override)
            if isinstance(override.value, dict)
            else base
        )

    def check_schema(self, whole: Node, chosen: Node, source: SourceText) -> None:
        """Adds schema violations, in the whole file and in the chosen environment's result."""
        file_value, chosen_value = plain_value(whole), plain_value(chosen)
        if conforms(self.schema, file_value) and (
            self.environment is None or conforms(self.schema, chosen_value)
        ):
            return
        from mosaic_deploy.source.manifest.schema_messages import SchemaChecker, is_required

        checker = SchemaChecker(self.schema, source)
        for problem in checker.problems(whole, file_value):
            # A required field may come from the override, so it is checked in the merged manifest below.
            if self.environment is None or not is_required(problem):
                self.problems.append(problem)
        if self.environment is not None:
            self.problems += checker.problems(chosen, chosen_value)


def _without_pinned_id(base: Node, override: Node) -> Node:
    """`base` without `project.id` if the override names another project, because the id would take precedence."""
    assert isinstance(override.value, dict)
    assert isinstance(base.value, dict)
    ours, theirs = base.value.get("project"), override.value.get("project")
    if (
        ours is None
        or theirs is None
        or not isinstance(ours.value, dict)
        or not isinstance(theirs.value, dict)
    ):
        return base
    if "name" not in theirs.value or "id" in theirs.value:
        return base
    project = replace(ours, value={key: node for key, node in ours.value.items() if key != "id"})
    return replace(base, value={**base.value, "project": project})


def _unknown_environment(
    name: str, known: list[str], environments: Node | None, source: SourceText
) -> Problem:
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    similar = f'did you mean "{close[0]}"? ' if close else ""
    list_of_known = f"known: {', '.join(known)}" if known else "the manifest has no environments"
    location = Location(source.file)
    if environments is not None and environments.key_at:
        location = source.location(*environments.key_at)
    return Problem(
        f"unknown environment {quoted(name)}", location, field="environments", hint=similar + list_of_known
    )


def _invalid_error(display_path: str, problems: Iterable[Problem]) -> ManifestInvalid:
    """The error for these problems, without duplicates, in order of position, `.env` last."""
    unique = {(p.location.file, p.location.line, p.location.column, p.field, p.message): p for p in problems}
    ordered = sorted(
        unique.values(),
        key=lambda p: (
            p.location.file != display_path,
            p.location.line or 0,
            p.location.column or 0,
            p.field,
        ),
    )
    count = "1 mistake" if len(ordered) == 1 else f"{len(ordered)} mistakes"
    return ManifestInvalid(f"{count} in {display_path}", problems=ordered)


def _display_path(file: Path) -> str:
    """The path relative to the current folder if it is below it, else as given."""
    try:
        return str(file.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(file)
