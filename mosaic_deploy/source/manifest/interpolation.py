"""Replaces `${NAME}` and `${NAME:-default}` in a manifest's values.

A variable's value is text: it isn't parsed as YAML or searched for `${` again. It is converted only if the whole value
is a single variable and the schema expects a number or a boolean. A default is text, too: it can't contain a variable.

A variable named like a credential is used only if `variables.credentials` lists it, and never in a public field. No other
value that looks like a secret is used in one either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from typing import Any

from mosaic_deploy.errors import Problem
from mosaic_deploy.source.manifest.schema_check import Schema, UnresolvedVariable, resolve_reference
from mosaic_deploy.source.manifest.text import NESTED_DEFAULT, SourceText
from mosaic_deploy.source.manifest.yaml_tree import Node
from mosaic_deploy.source.secrets.variables import is_credential_name, secret_in

_REFERENCE = (
    r"\$\$\{"  # escaped
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
    r"|(?P<nested>\$\{[A-Za-z_][A-Za-z0-9_]*:-[^}]*\$\{)"
    r"|\$\{"  # invalid
)
_COMMANDS = (("build", "command"), ("dev", "command"))
_UNBRACED = re.compile(r"\$(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\((?P<call>[A-Za-z_][A-Za-z0-9_]*)\))")
"""A variable as other tools write it."""
_REFERENCE_IN_VALUE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*")
_BOOLEANS = {"true": True, "false": False}


class Interpolator:
    """Copies a tree, sets the dotted path of each value and replaces its variables.

    Values in environments other than `environment` become `UnresolvedVariable`: their variables needn't be set.
    """

    def __init__(
        self, source: SourceText, schema: Schema, variables: Mapping[str, str], environment: str | None
    ) -> None:
        self.source = source
        self.schema = schema
        self.variables = variables
        self.environment = environment
        self.credentials: frozenset[str] = frozenset()
        """Variables named like credentials that the manifest may use."""
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def interpolate_manifest(self, tree: Node) -> Node:
        """A copy of a manifest's whole tree."""
        self.credentials = _listed_credentials(tree)
        return self.interpolate(tree)

    def interpolate(self, node: Node, path: tuple[str | int, ...] = ()) -> Node:
        """A copy of `node` and everything below it."""
        result = copy(node)
        result.field = dotted_path(path)
        if isinstance(node.value, dict):
            result.value = {key: self.interpolate(child, (*path, key)) for key, child in node.value.items()}
        elif isinstance(node.value, list):
            result.value = [self.interpolate(child, (*path, index)) for index, child in enumerate(node.value)]
        elif isinstance(node.value, str) and "$" in node.value:
            self.warn_of_unbraced(result, node.value, path)
            if "${" in node.value:
                self.resolve(result, node.value, path)
        return result

    def warn_of_unbraced(self, node: Node, text: str, path: tuple[str | int, ...]) -> None:
        """Warns of `$NAME` and `$(NAME)`, except in checks, where a `$` is common, and in commands for the shell."""
        sections = path[:1] + path[2:3]
        if "verify" in sections or path[-2:] in _COMMANDS or not self.is_needed(path):
            return
        for found in _UNBRACED.finditer(text):
            name = found["name"] or found["call"]
            if name.isupper() or name in self.variables:
                hint = f"write ${{{name}}}; only that form is replaced"
                location = self.source.location(node.line, node.column)
                message = f"{found[0]} is text, not a variable"
                self.warnings.append(Problem(message, location, field=node.field, hint=hint))

    def warn_of_inner_variables(self, node: Node, name: str, value: str) -> None:
        """Warns of a variable whose value names another one: shells and other readers of `.env` would replace that."""
        if _REFERENCE_IN_VALUE.search(value):
            message = f"the value of {name} contains a variable, which isn't replaced"
            hint = f"set {name} to its final value"
            location = self.source.location(node.line, node.column)
            self.warnings.append(Problem(message, location, field=node.field, hint=hint))

    def is_needed(self, path: tuple[str | int, ...]) -> bool:
        """Whether the value at `path` is used: it isn't in an environment other than the chosen one."""
        return path[:1] != ("environments",) or path[1:2] == (self.environment,)

    def resolve(self, node: Node, text: str, path: tuple[str | int, ...]) -> None:
        """Replaces the variables in one value."""
        parts: list[str] = []
        end_of_last = 0
        for number, found in enumerate(re.finditer(_REFERENCE, text)):
            parts.append(text[end_of_last : found.start()])
            end_of_last = found.end()
            part = self.reference_value(found, node, number, path)
            if part is None:
                node.value = UnresolvedVariable(text)
                return
            if found["name"] and "verify" not in path[:1] + path[2:3]:
                self.warn_of_inner_variables(node, found["name"], part)
            parts.append(part)
            node.variable = node.variable or found["name"]
            if found["name"] and part == self.variables.get(found["name"]):
                node.variables = {**(node.variables or {}), found[0]: part}
            node.is_single_variable = found["name"] is not None and found.span() == (0, len(text))
        node.value = "".join([*parts, text[end_of_last:]])
        if node.variable:
            node.written = text
            kind = secret_in(node.value) if is_public(path) else None
            if kind:
                hint = "use a value that may be public, or write it as text"
                self.add_problem(
                    node, 0, f"the value of {node.variable} looks like {kind}, and {_PUBLIC}", hint
                )
                node.value = UnresolvedVariable(text)
                return
        if node.is_single_variable:
            node.value = _convert(node.value, self.field_schema(path))

    def reference_value(
        self, found: re.Match[str], node: Node, number: int, path: tuple[str | int, ...]
    ) -> str | None:
        """The value of one reference, None if there is none."""
        name, default = found["name"], found["default"]
        if found[0] == "$${":
            return "${"
        if found["nested"]:
            self.add_problem(node, number, *NESTED_DEFAULT)
            return None
        if name is None:
            hint = "write ${NAME} or ${NAME:-default}, or $${ for a literal ${"
            self.add_problem(node, number, "invalid variable reference", hint)
            return None
        if not self.is_needed(path) or self.refuse_credential(name, node, number, path):
            return None
        value = self.variables.get(name)
        if value is None or (not value and default is not None):
            value = default
        if value is None:
            hint = f"set it in the environment or in .env, or write ${{{name}:-default}}"
            self.add_problem(node, number, f"variable {name} isn't set", hint)
        elif any("\ud800" <= letter <= "\udfff" for letter in value):
            self.add_problem(node, number, f"the value of {name} isn't UTF-8", "set it again, as UTF-8")
            return None
        return value

    def refuse_credential(self, name: str, node: Node, number: int, path: tuple[str | int, ...]) -> bool:
        """Whether the variable is named like a credential and isn't used here; adds the problem."""
        public = is_public(path)
        if not is_credential_name(name) or (name in self.credentials and not public):
            return False
        message, hint = (
            f"variable {name} is named like a credential",
            f"list it: variables: {{credentials: [{name}]}}",
        )
        if public:
            message, hint = f"{message}, and {_PUBLIC}", "use a variable with another name"
        self.add_problem(node, number, message, hint)
        return True

    def add_problem(self, node: Node, number: int, message: str, hint: str) -> None:
        """Adds a problem located at the `number`th reference of the value."""
        start, end = node.span
        written = [found.start() for found in re.finditer(r"\$\$?\{", self.source.text[start:end])]
        location = self.source.location(node.line, node.column)
        if number < len(written):
            location = self.source.location_of(start + written[number])
        self.problems.append(Problem(message, location, field=node.field, hint=hint))

    def field_schema(self, path: tuple[str | int, ...]) -> Schema:
        """The schema of the field at `path`, also for a field inside an environment."""
        if path[:1] == ("environments",):
            path = path[2:]
        schema: Any = self.schema
        for part in path:
            schema = resolve_reference(schema, self.schema)
            schema = (
                schema.get("items", {})
                if isinstance(part, int)
                else schema.get("properties", {}).get(part, {})
            )
        return resolve_reference(schema, self.schema)


_PUBLIC = "this field is public: it is shown in plans, or published"


def is_public(path: tuple[str | int, ...]) -> bool:
    """Whether the field at `path` is public: all but the checks. The page of a magic link is part of an address."""
    if path[:1] == ("environments",):
        path = path[2:]
    return path[:1] != ("verify",) or path == ("verify", "magic_link", "redirect_url")


def _listed_credentials(tree: Node) -> frozenset[str]:
    """The names in `variables.credentials`; what isn't a name there is reported by the schema check."""
    node: Any = tree
    for name in ("variables", "credentials"):
        node = node.value.get(name) if node is not None and isinstance(node.value, dict) else None
    items = node.value if node is not None and isinstance(node.value, list) else []
    return frozenset(item.value for item in items if isinstance(item.value, str))


def dotted_path(path: tuple[str | int, ...]) -> str:
    """`verify.http[0].path` for ("verify", "http", 0, "path")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_printable_key(part)}"
    return text.removeprefix(".")


def _printable_key(key: str) -> str:
    return key if key.isprintable() and len(key) <= 60 else key.encode("unicode_escape").decode()[:60]


def _convert(text: str, schema: Schema) -> str | int | float | bool:
    """`text` as the type in `schema`, or unchanged if it can't be converted."""
    types = schema.get("type", ())
    if "boolean" in types:
        return _BOOLEANS.get(text.lower(), text)
    if types == "integer" and re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    if "number" in types and re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,6})?", text):
        return float(text)
    return text
