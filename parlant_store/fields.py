"""Model fields that behave alike on SQLite and PostgreSQL."""

from typing import Any

from django.core.checks import CheckMessage
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.content.codec import DocumentDecoder, DocumentEncoder


class CodePointField(models.TextField):  # type: ignore[type-arg]
    """Text that sorts and compares by code point in any locale.

    This is SQLite's default; on PostgreSQL the column is COLLATE "C".
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters


class RowKeyField(models.BigAutoField):  # type: ignore[type-arg]
    """A BigAutoField without AUTOINCREMENT on SQLite: each insert would write one more page.

    The greatest key is used again after its row was deleted.
    """

    def db_type_suffix(self, connection: BaseDatabaseWrapper) -> str | None:
        return None if connection.vendor == "sqlite" else super().db_type_suffix(connection)


class TermsField(models.TextField):  # type: ignore[type-arg]
    """Search terms: a tsvector on PostgreSQL, words separated by spaces on SQLite."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "tsvector" if connection.vendor == "postgresql" else super().db_type(connection)


class DocumentField(models.JSONField):
    """A JSON value, which may contain NUL and lone surrogates."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["encoder"] = DocumentEncoder
        kwargs["decoder"] = DocumentDecoder
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["encoder"], kwargs["decoder"]
        return name, path, args, kwargs


class GeneratedColumn(models.GeneratedField):
    """A generated field whose check needs no connection: SQLite and PostgreSQL support it.

    Since Django 6.1, that of GeneratedField asks each database for its version.
    """

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return super().check(**kwargs | {"databases": []})
