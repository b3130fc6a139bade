"""Policies compared: the stricter of two, what one loosens of another, and those that the last deploys recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import reduce

from mosaic_deploy.model.manifest import PolicySpec
from mosaic_deploy.model.manifest_identity import same_manifest, vaguer_names

DEFAULT_POLICY = PolicySpec()
_STRICTNESS = ("allow", "confirm", "deny")
_DRIFT_STRICTNESS = ("warn", "deny")
_REHEARSED_STRICTNESS = ("optional", "required")
_AGENTS_STRICTNESS = ("any", "proven")


def stricter_policy(one: PolicySpec | None, other: PolicySpec | None) -> PolicySpec:
    """The policy that forbids what either forbids. None is the default policy."""
    one, other = one or DEFAULT_POLICY, other or DEFAULT_POLICY
    limits = [each.max_deletes for each in (one, other) if each.max_deletes is not None]
    return replace(
        one,
        destructive=max(one.destructive, other.destructive, key=_STRICTNESS.index),
        protected_tables=tuple(dict.fromkeys((*one.protected_tables, *other.protected_tables))),
        max_deletes=min(limits, default=None),
        drift=max(one.drift, other.drift, key=_DRIFT_STRICTNESS.index),
        rehearsed=max(one.rehearsed, other.rehearsed, key=_REHEARSED_STRICTNESS.index),
        agents=max(one.agents, other.agents, key=_AGENTS_STRICTNESS.index),
        unmanaged=tuple(name for name in one.unmanaged if _covers(other, name)),
    )


def loosened(before: PolicySpec, after: PolicySpec) -> str:
    """What `after` no longer forbids: `destructive: deny → allow; max_deletes: 20 → no limit`; empty if nothing."""
    return "; ".join(_loosened(before, after))


def _loosened(before: PolicySpec, after: PolicySpec) -> Iterator[str]:
    if _STRICTNESS.index(after.destructive) < _STRICTNESS.index(before.destructive):
        yield f"destructive: {before.destructive} → {after.destructive}"
    kept = {_with_schema(name) for name in after.protected_tables}
    if lost := [name for name in before.protected_tables if _with_schema(name) not in kept]:
        yield f"protected_tables: without {', '.join(lost)}"
    most, limit = after.max_deletes, before.max_deletes
    if limit is not None and (most is None or most > limit):
        yield f"max_deletes: {limit} → {'no limit' if most is None else most}"
    if _DRIFT_STRICTNESS.index(after.drift) < _DRIFT_STRICTNESS.index(before.drift):
        yield f"drift: {before.drift} → {after.drift}"
    if _REHEARSED_STRICTNESS.index(after.rehearsed) < _REHEARSED_STRICTNESS.index(before.rehearsed):
        yield f"rehearsed: {before.rehearsed} → {after.rehearsed}"
    if _AGENTS_STRICTNESS.index(after.agents) < _AGENTS_STRICTNESS.index(before.agents):
        yield f"agents: {before.agents} → {after.agents}"
    if more := [name for name in after.unmanaged if not _covers(before, name)]:
        yield f"unmanaged: also {', '.join(more)}"


def _covers(policy: PolicySpec, pattern: str) -> bool:
    """Whether its `unmanaged` has the pattern, or one that surely includes all that it names."""
    return any(_is_within(_with_schema(pattern), _with_schema(each)) for each in policy.unmanaged)


def _is_within(pattern: str, wider: str) -> bool:
    """`jobs.a_*` is within `jobs.*`: as a text, a pattern matches the wider one."""
    return re.fullmatch(".*".join(map(re.escape, wider.split("*"))), pattern) is not None


def _with_schema(table: str) -> str:
    return table if "." in table else f"public.{table}"


def recorded_policy(record: object, manifest: str) -> PolicySpec | None:
    """The policy with which `manifest` was deployed last, from the `record` in the tracking tables.

    Of a manifest that wasn't deployed yet, the strictest one that others were deployed with. None without a record.
    """
    policies = _policies(record)
    if manifest in policies:
        return policies[manifest]
    own = [policy for name, policy in policies.items() if same_manifest(manifest, name)]
    return reduce(stricter_policy, own or policies.values()) if policies else None


def record_with(record: object, manifest: str, policy: PolicySpec | None) -> dict[str, object]:
    """The record after a deploy of `manifest`, under the name that says most about its repository."""
    before = _policies(record)
    own = [name for name in before if same_manifest(manifest, name)]
    fuller = [name for name in own if not vaguer_names(manifest).include(name)]
    name = fuller[0] if len(fuller) == 1 else manifest
    kept = {each: before[each] for each in before if each not in own or each in fuller}
    policies = {**kept, name: policy or DEFAULT_POLICY}
    return {name: _as_record(each) for name, each in policies.items()}


def _as_record(policy: PolicySpec) -> dict[str, object]:
    """Without the fields of _LATER_FIELDS that are the default, as in records from before there were any."""
    lists = {"protected_tables": list(policy.protected_tables), "unmanaged": list(policy.unmanaged)}
    facts = {**asdict(policy), **lists}
    if not policy.unmanaged:
        del facts["unmanaged"]
    for name in _LATER_FIELDS:
        if facts[name] == getattr(DEFAULT_POLICY, name):
            del facts[name]
    return facts


_LATER_FIELDS = {
    "drift": _DRIFT_STRICTNESS,
    "rehearsed": _REHEARSED_STRICTNESS,
    "agents": _AGENTS_STRICTNESS,
}


def _policies(record: object) -> Mapping[str, PolicySpec]:
    """By manifest; without what can't be read."""
    found = record if isinstance(record, Mapping) else {}
    return {str(name): policy for name, value in found.items() if (policy := _parse(value))}


def _parse(value: object) -> PolicySpec | None:
    if not isinstance(value, Mapping) or value.get("destructive") not in _STRICTNESS:
        return None
    most = value.get("max_deletes")
    return PolicySpec(
        value["destructive"],
        _texts(value.get("protected_tables")),
        most if isinstance(most, int) else None,
        **{name: value[name] for name, values in _LATER_FIELDS.items() if value.get(name) in values},
        unmanaged=_texts(value.get("unmanaged")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
