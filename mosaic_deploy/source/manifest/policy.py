"""Reads only the policy of a manifest's text."""

from __future__ import annotations

from mosaic_deploy.errors import Problem
from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.schema_files import read_schema
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES
from mosaic_deploy.source.manifest.interpolation import Interpolator
from mosaic_deploy.source.manifest.plain_values import plain_value
from mosaic_deploy.source.manifest.read import SCHEMA
from mosaic_deploy.source.manifest.schema_check import conforms
from mosaic_deploy.source.manifest.text import SourceTextError, source_text
from mosaic_deploy.source.manifest.values import merge_overrides, policy_of
from mosaic_deploy.source.manifest.yaml_tree import Node, compose


def read_policy_text(text: str, environment: str | None) -> PolicySpec:
    """The policy in the text of a manifest, with what `environment` overrides; the default one if it can't be read.

    No variables are replaced: the folder's `.env` would decide them. A policy with one can't be read.
    """
    problems: list[Problem] = []
    try:
        source = source_text(text.encode(), MANIFEST_NAMES[0])
        tree = compose(source, problems)
    except SourceTextError:
        return PolicySpec()
    if tree is None or problems or not isinstance(tree.value, dict):
        return PolicySpec()
    base = _child(tree, "policy") or Node({}, tree.line, tree.column, tree.span)
    override = _child(_child(_child(tree, "environments"), environment), "policy")
    policy = merge_overrides(base, override) if override else base
    schema = read_schema(SCHEMA)
    interpolator = Interpolator(source, schema, {}, None)
    plain = plain_value(interpolator.interpolate(policy, ("policy",)))
    if interpolator.problems or not isinstance(plain, dict):
        return PolicySpec()
    return policy_of(plain) if conforms(schema["properties"]["policy"], plain, schema) else PolicySpec()


def _child(node: Node | None, name: str | None) -> Node | None:
    return node.value.get(name) if node is not None and name and isinstance(node.value, dict) else None
