"""Which live objects the files drop for good, for the plan's summary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mosaic_deploy.sql.hazards.effects.dropped import DroppedObject, dropped_objects, live_facts, live_text
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect, alter_commands

_CREATED_RELATIONS = {
    "ViewStmt": ("view", "view"),
    "CreateSeqStmt": ("sequence", "sequence"),
    "CompositeTypeStmt": ("type", "typevar"),
}
_CREATED_NAMES = {
    "CreateEnumStmt": ("type", "typeName"),
    "CreateRangeStmt": ("type", "typeName"),
    "CreateDomainStmt": ("domain", "domainname"),
    "CreateFunctionStmt": ("function", "funcname"),
}
_CREATED_PARTS = {
    "CreateTrigStmt": ("trigger", "trigname", "relation"),
    "CreatePolicyStmt": ("policy", "policy_name", "table"),
    "RuleStmt": ("rule", "rulename", "relation"),
}
_CREATED_WORDS = {
    "CreateSchemaStmt": ("schema", "schemaname"),
    "CreateExtensionStmt": ("extension", "extname"),
}


_NEEDS_CONSENT = (
    "view ", "materialized view ", "function ", "procedure ", "aggregate ", "type ", "domain ", "policy ", "composite type "
)  # fmt: skip


@dataclass(slots=True)
class DestroyedObjects:
    """Live objects that are gone after the files have run, in order. Record every effect before it changes the scope.

    An object without data that is created again under the name that it has live, such as a view, isn't destroyed.
    """

    _found: dict[str, tuple[int, bool]] = field(default_factory=dict)
    _again: set[str] = field(default_factory=set)
    """Live objects without data that the files dropped and created again."""
    _created: set[str] = field(default_factory=set)

    def record(self, effect: Effect, scope: Scope, script: int) -> Iterator[tuple[str, str]]:
        """Records what `effect` in the file with number `script` drops and creates.

        Yields the live objects that it drops: as `of_script` names them, and by the name that they had before the files.
        """
        for dropped in dropped_objects(effect):
            yield from self._record_dropped(dropped, scope, script)
        for created in _created(effect, scope):
            self._created.add(created)
            if not self._found.get(created, (0, True))[1]:
                del self._found[created]
                self._again.add(created)

    def of_script(self, script: int) -> tuple[str, ...]:
        """`table old`, `column books.fax`, `policy p on orders`."""
        return tuple(
            text.replace(" public.", " ") for text, (number, _) in self._found.items() if number == script
        )

    def is_lost(self, text: str) -> bool:
        """Whether the object that holds no data, by its text from `record`, is gone after the files."""
        return text in self._found and text.startswith(_NEEDS_CONSENT)

    def _record_dropped(self, dropped: DroppedObject, scope: Scope, script: int) -> Iterator[tuple[str, str]]:
        facts = live_facts(scope, dropped)
        text = dropped.text(_with_schema(dropped.name, dropped.lookup_kind, scope))
        is_live = _existed_before(dropped, scope) and (facts is not None or _must_exist(dropped))
        if not is_live and text not in self._again:
            return
        live = live_text(scope, dropped)
        # As in the usual change of an enum: renamed, created again, and the renamed one dropped.
        if dropped.holds_data or live == text or live not in self._created:
            self._found.setdefault(text, (script, dropped.holds_data))
        yield text, live
        for one in facts.dependents if facts else ():
            text = f"{one.kind.removeprefix('table ')} {one.name.partition('(')[0]}"
            self._found.setdefault(text, (script, bool(one.table)))
            yield text, text


def _existed_before(dropped: DroppedObject, scope: Scope) -> bool:
    kind = dropped.lookup_kind
    if kind is ObjectKind.FUNCTION:
        return True
    if dropped.kind == "attribute":
        return scope.existed_before(dropped.name, ObjectKind.TYPE)
    added = dropped.kind == "column" and dropped.part in scope.relation(dropped.name).added_columns
    return not added and scope.existed_before(dropped.name, kind)


def _must_exist(dropped: DroppedObject) -> bool:
    """Whether PostgreSQL fails if it doesn't exist, so that it exists under another name, such as before a rename."""
    known = dropped.lookup == "other" or dropped.kind in (
        "table", "column", "view", "materialized view", "attribute"
    )  # fmt: skip
    return known and not dropped.if_exists


def _with_schema(name: Name, kind: ObjectKind, scope: Scope) -> Name:
    key = scope.key(name, kind)
    return Name(key.schema or None, key.name)


def _created(effect: Effect, scope: Scope) -> Iterator[str]:
    """The objects without data that the effect creates, as in `DroppedObject.text`."""
    node = effect.node
    if effect.kind in _CREATED_RELATIONS:
        word, key = _CREATED_RELATIONS[effect.kind]
        yield f"{word} {_with_schema(range_name(node[key]), ObjectKind.RELATION, scope)}"
    elif effect.kind == "CreateTableAsStmt" and node.get("objtype") == "OBJECT_MATVIEW":
        view = range_name(node["into"]["rel"])
        yield f"materialized view {_with_schema(view, ObjectKind.RELATION, scope)}"
    elif effect.kind in _CREATED_NAMES:
        word, key = _CREATED_NAMES[effect.kind]
        word = "procedure" if node.get("is_procedure") else word
        yield f"{word} {_with_schema(list_name(node[key]), ObjectKind.TYPE, scope)}"
    elif effect.kind in _CREATED_WORDS:
        word, key = _CREATED_WORDS[effect.kind]
        yield f"{word} {quote_if_needed(str(node.get(key, '')))}"
    elif effect.kind in _CREATED_PARTS:
        word, key, relation = _CREATED_PARTS[effect.kind]
        table = _with_schema(range_name(node[relation]), ObjectKind.RELATION, scope)
        yield f"{word} {quote_if_needed(str(node[key]))} on {table}"
    elif effect.kind == "IndexStmt" and node.get("idxname"):
        table = _with_schema(range_name(node["relation"]), ObjectKind.RELATION, scope)
        yield f"index {Name(table.schema, node['idxname'])}"
    elif effect.kind == "AlterTableStmt":
        table = _with_schema(range_name(node["relation"]), ObjectKind.RELATION, scope)
        for constraint, _ in alter_commands(effect, "AT_AddConstraint"):
            if name := constraint.get("conname"):
                yield f"constraint {quote_if_needed(name)} on {table}"
