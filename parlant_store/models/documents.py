"""The model of documents."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q, UniqueConstraint, Value
from django.db.models.functions import Coalesce, Now
from django.db.models.lookups import IsNull
from django.utils.translation import gettext_lazy as _

from parlant_store.content import codec
from parlant_store.fields import CodePointField, DocumentField, TermsField
from parlant_store.sql.index_expressions import IndexedField

_ORDER = (Coalesce("creation_utc", Value("")), Coalesce("document_id", Value("")))


def _owned_by(column: str) -> models.Index:
    return models.Index(
        F("collection"),
        F(column),
        *_ORDER,
        name=f"parlant_store_doc_{column.removesuffix('_id')}",
        condition=Q(**{f"{column}__isnull": False}),
    )


def _indexed(name: str, *columns: str) -> models.Index:
    fields = [IndexedField("data", column) for column in columns]
    return models.Index(
        F("collection"),
        *fields,
        name=f"parlant_store_doc_{name}",
        condition=Q(IsNull(fields[0], False)),
    )


class Document(models.Model):
    """A JSON document of a collection.

    Parlant's sessions also have the figures of their events, which triggers keep.
    """

    key = models.BigAutoField(primary_key=True)
    collection = CodePointField(_("collection"))
    document_id = CodePointField(_("id"), db_column="id", null=True)
    version = CodePointField(_("version"), null=True)
    creation_utc = CodePointField(_("created"), null=True)
    session_id = CodePointField(_("session"), null=True)
    customer_id = CodePointField(_("customer"), null=True)
    agent_id = CodePointField(_("agent"), null=True)
    data = DocumentField(_("data"))
    updated_at = models.DateTimeField(_("updated"), db_default=Now())
    expires_at = models.DateTimeField(_("expires"), null=True)
    terms = TermsField(null=True, editable=False)
    failed_calls = models.BigIntegerField(
        _("failed calls"),
        null=True,
        help_text=_("The failed tool calls of an event, or of all events of a Parlant session."),
    )
    active_minute = models.BigIntegerField(
        null=True, help_text=_("The last activity of a Parlant session, in minutes since 1970.")
    )
    item_count = models.BigIntegerField(
        _("messages"), null=True, help_text=_("The messages of a Parlant session.")
    )
    length_class = models.BigIntegerField(
        null=True, help_text=_("The binary logarithm of the messages, rounded down.")
    )

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        permissions: ClassVar = [
            ("expire_document", "Can expire documents now"),
            ("extend_document", "Can extend documents"),
            ("export_document", "Can export documents"),
        ]
        constraints: ClassVar = [
            UniqueConstraint(fields=["collection", "document_id"], name="parlant_store_doc_id"),
        ]
        indexes: ClassVar = [
            models.Index(F("collection"), *_ORDER, name="parlant_store_doc_created"),
            models.Index(fields=["collection", "version", "key"], name="parlant_store_doc_version"),
            _owned_by("session_id"),
            _owned_by("customer_id"),
            _owned_by("agent_id"),
            models.Index(
                F("collection"),
                F("session_id"),
                IndexedField("data", "offset"),
                name="parlant_store_doc_offset",
                condition=Q(session_id__isnull=False),
            ),
            _indexed("variable", "variable_id", "key"),
            _indexed("tag", "tag_id"),
            _indexed("source", "source"),
            _indexed("target", "target"),
            models.Index(
                fields=["expires_at"],
                name="parlant_store_doc_expires",
                condition=Q(expires_at__isnull=False),
            ),
            models.Index(
                fields=["active_minute", "key"],
                name="parlant_store_doc_active",
                condition=Q(active_minute__isnull=False),
            ),
            models.Index(
                fields=["active_minute", "key"],
                name="parlant_store_doc_failed",
                condition=Q(active_minute__isnull=False, failed_calls__gt=0),
            ),
            models.Index(
                fields=["length_class", "key"],
                name="parlant_store_doc_length",
                condition=Q(length_class__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        name = codec.from_column(self.document_id) if self.document_id else self.key
        return f"{codec.from_column(self.collection)}/{name}"
