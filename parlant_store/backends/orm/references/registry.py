"""The models of the project that refer to the models of this app."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.db import router
from django.db.models import CASCADE, PROTECT, RESTRICT, SET_NULL, Model

Field = Any
"""A ForeignKey or OneToOneField."""

_HANDLED = (CASCADE, PROTECT, RESTRICT, SET_NULL)
"""With these values of on_delete, no row refers to a deleted one."""

_cache: dict[type[Model], tuple[Any, bool]] = {}


@cache
def referenced_models() -> tuple[type[Model], ...]:
    from parlant_store.models import Document, Session, SessionItem

    return Session, SessionItem, Document


def has_references(model: type[Model]) -> bool:
    """Whether a model of the project refers to ``model``.

    The result is cached until Django replaces ``related_objects``, which it does for a new model.
    """
    related = model._meta.related_objects
    cached = _cache.get(model)
    if cached is None or cached[0] is not related:
        cached = _cache[model] = (related, _is_referenced(model))
    return cached[1]


def is_referenced(using: str) -> bool:
    """Whether tables of the project in this database refer to ours."""
    return any(has_references(model) and _are_in(using, model) for model in referenced_models())


def references(model: type[Model]) -> Iterator[Field]:
    """Yield the foreign keys of the project to ``model``, with those of many-to-many tables."""
    for relation in model._meta.get_fields(include_hidden=True):
        is_to_many = relation.one_to_many or relation.one_to_one
        if relation.auto_created and not relation.concrete and is_to_many:
            field: Field = relation.field  # type: ignore[union-attr]
            if field.model._meta.app_label != model._meta.app_label:
                yield field


def may_dangle(field: Field) -> bool:
    """Whether a row may still refer to a deleted one, which the database refuses at the commit."""
    return bool(field.db_constraint and field.remote_field.on_delete not in _HANDLED)


def is_protecting(field: Field) -> bool:
    """Whether the field may protect the row to which it refers from deletion."""
    return field.remote_field.on_delete not in (CASCADE, SET_NULL)


def _are_in(using: str, model: type[Model]) -> bool:
    fields = [*references(model)]
    return not fields or any(router.allow_migrate_model(using, field.model) for field in fields)


def _is_referenced(model: type[Model]) -> bool:
    # With a GenericRelation that the project adds to the model, Django deletes rows as well.
    generic = any(hasattr(field, "bulk_related_objects") for field in model._meta.private_fields)
    return generic or any(True for _ in references(model))
