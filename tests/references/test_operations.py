"""Every way to refer to a row, times everything that deletes it."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction

from parlant_store.exceptions import ProtectedRow
from tests.references.models import GROUPS, REFERENCES, SPARES, TARGETS, Remark, Vote
from tests.references.operations import OPERATIONS, Operation, prepare, sibling

MODELS: list[Any] = [
    *TARGETS.values(),
    *apps.get_app_config("references").get_models(include_auto_created=True),
]
KEPT = ("PROTECT", "RESTRICT", "DO_NOTHING")
TRANSACTIONS = {"outside": nullcontext, "inside": transaction.atomic}
"""What the caller has around the operation."""


def alternately(ways: Iterable[tuple[str, ...]]) -> list[Any]:
    """Each way to refer to a target, times each operation on it, in one of TRANSACTIONS.

    Each operation takes place in both with the ways that protect a row, and with those that do
    not: what happens to a reference does not depend on the transaction.
    """
    return [
        pytest.param(*way, name, atomic, id="-".join((*way, name, transaction_id)))
        for number, way in enumerate(ways)
        for other, name in enumerate(OPERATIONS[way[0]])
        for transaction_id, atomic in [[*TRANSACTIONS.items()][(number + other) % 2]]
    ]


def everything() -> dict[str, list[Any]]:
    """The rows of the models, but for those without any, which one query finds."""
    models: dict[str, Any] = {model._meta.db_table: model for model in MODELS}
    query = " UNION ALL ".join(f"SELECT '{t}' WHERE EXISTS (SELECT 1 FROM {t})" for t in models)
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {
            table: [*models[table].objects.order_by("pk").values()]
            for (table,) in sorted(cursor.fetchall())
        }


def run(store: Any, operation: Operation, atomic: Any) -> Any:
    with atomic():
        return operation.run(store)


def is_there(target: str, key: int) -> bool:
    return TARGETS[target].objects.filter(pk=key).exists()


def check_protected(
    store: Any, target: str, operation: Operation, atomic: Any, key: int, named: str
) -> None:
    """It stays, its protecting row is named, and others go."""
    before = everything()
    if operation.is_sweep:
        (protected,) = run(store, operation, atomic)
        assert protected.id == ("d" if target == "Document" else "s")
        assert named in protected.protected_by
        assert not sibling(target)
        assert is_there(target, key)
        return
    with atomic():
        with pytest.raises(ProtectedRow, match=named):
            operation.run(store)
        # The caller's transaction can go on.
        store.insert_one("after", {})
    assert is_there(target, key)
    store.drop_collection("after")
    assert everything() == before


@pytest.mark.parametrize(("target", "way", "name", "atomic"), alternately(REFERENCES))
def test_foreign_keys(store, target, way, name, atomic):
    operation = OPERATIONS[target][name]
    key = prepare(store, target, operation)
    model = REFERENCES[target, way]
    row = model.objects.create(to_id=key)
    if way in KEPT:
        check_protected(
            store, target, operation, atomic, key, f"references.{model.__name__} {row.pk}"
        )
        return
    spare = SPARES[target]()
    protected = run(store, operation, atomic)
    assert not operation.is_sweep or protected == []
    assert not is_there(target, key)
    left = [*model.objects.values_list("to_id", flat=True)]
    expected = {"SET_NULL": [None], "DB_SET_NULL": [None], "UNCHECKED": [key]}
    expected |= {"SET": [spare], "SET_DEFAULT": [spare]}
    assert left == expected.get(way, [])


@pytest.mark.parametrize(("target", "name", "atomic"), alternately((name,) for name in GROUPS))
def test_many_to_many(store, target, name, atomic):
    operation = OPERATIONS[target][name]
    key = prepare(store, target, operation)
    several = GROUPS[target].objects.create()
    several.members.add(key)
    run(store, operation, atomic)
    assert not is_there(target, key)
    assert GROUPS[target].members.through.objects.count() == 0
    assert GROUPS[target].objects.count() == 1


@pytest.mark.parametrize(("target", "name", "atomic"), alternately([("Session",)]))
def test_a_row_that_protects_what_would_go_along(store, target, name, atomic):
    operation = OPERATIONS[target][name]
    key = prepare(store, target, operation)
    vote = Vote.objects.create(on=REFERENCES["Session", "CASCADE"].objects.create(to_id=key))
    check_protected(store, target, operation, atomic, key, f"references.Vote {vote.pk}")


@pytest.mark.parametrize("name", [n for n, o in OPERATIONS["Session"].items() if o.is_sweep])
def test_what_the_database_alone_refuses_stops_no_sweep(store, name):
    operation = OPERATIONS["Session"][name]
    key = prepare(store, "Session", operation)
    Remark.objects.create(on=REFERENCES["Session", "CASCADE"].objects.create(to_id=key))
    (protected,) = operation.run(store)
    assert "FOREIGN KEY" in protected.protected_by.upper()
    assert is_there("Session", key)
    assert not sibling("Session")
