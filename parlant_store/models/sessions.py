"""The models of sessions and their items."""

import json
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q, UniqueConstraint
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from parlant_store.content import codec
from parlant_store.fields import CodePointField, DocumentField, TermsField


class Session(models.Model):
    """An ordered list of items under a session_id, inside a namespace."""

    key = models.BigAutoField(primary_key=True)
    namespace = CodePointField(_("namespace"), blank=True, default="")
    session_id = CodePointField(_("session id"))
    user_id = CodePointField(_("owner"), null=True, blank=True)
    full_names = models.TextField(
        null=True,
        help_text=_("JSON of the names above that were too long for an index; mostly null."),
    )
    metadata = DocumentField(_("metadata"), default=dict, blank=True)
    state = DocumentField(
        _("state"),
        default=dict,
        blank=True,
        help_text=_("The state of the framework, in addition to the items."),
    )
    next_position = models.BigIntegerField(default=0)
    item_count = models.BigIntegerField(_("items"), default=0)
    tokens = models.BigIntegerField(
        _("tokens"),
        null=True,
        blank=True,
        help_text=_("The tokens that items and runs report; null if none is known."),
    )
    failed_calls = models.BigIntegerField(_("failed calls"), default=0, db_default=0)
    next_turn = models.BigIntegerField(default=0, db_default=0)
    usage = DocumentField(
        null=True, editable=False, help_text="The usage of all runs; null if none is known."
    )
    parent_id = CodePointField(
        null=True, editable=False, help_text="The session that it is a branch of."
    )
    parent_name = models.TextField(
        null=True, editable=False, help_text="JSON of the id of a parent that is too long."
    )
    parent_position = models.BigIntegerField(
        null=True, editable=False, help_text="The position of the last copied item."
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())
    updated_at = models.DateTimeField(_("updated"), db_default=Now())
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    # Triggers compute these (parlant_store.sql.computed_columns).
    active_minute = models.BigIntegerField(
        db_default=0, editable=False, help_text=_("The last change, in minutes since 1970.")
    )
    framework = models.TextField(db_default="openai", editable=False)
    length_class = models.BigIntegerField(db_default=-1, editable=False)

    class Meta:
        # As the admin calls them, where Parlant's sessions are conversations too.
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        permissions: ClassVar = [
            ("expire_session", "Can expire sessions now"),
            ("extend_session", "Can extend sessions"),
            ("branch_session", "Can branch sessions"),
            ("export_session", "Can export sessions with their items"),
        ]
        constraints: ClassVar = [
            UniqueConstraint(fields=["namespace", "session_id"], name="parlant_store_session_id"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["user_id", "namespace", "session_id"],
                name="parlant_store_session_owner",
                condition=Q(user_id__isnull=False),
            ),
            models.Index(
                fields=["user_id", "active_minute", "key"],
                name="parlant_store_session_person",
                condition=Q(user_id__isnull=False),
            ),
            models.Index(
                fields=["expires_at"],
                name="parlant_store_session_expires",
                condition=Q(expires_at__isnull=False),
            ),
            models.Index(
                fields=["framework", "active_minute", "key"],
                name="parlant_store_session_active",
            ),
            models.Index(
                fields=["namespace", "active_minute", "key"],
                name="parlant_store_session_recent",
            ),
            models.Index(
                fields=["active_minute", "key"],
                name="parlant_store_session_failed",
                condition=Q(failed_calls__gt=0),
            ),
            models.Index(fields=["length_class", "key"], name="parlant_store_session_length"),
            models.Index(
                fields=["namespace", "parent_id"],
                name="parlant_store_session_parent",
                condition=Q(parent_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        name = codec.from_column(self.session_id)
        return f"{codec.from_column(self.namespace)}/{name}" if self.namespace else name


class SessionItem(models.Model):
    """One message, tool call or output of a session."""

    key = models.BigAutoField(primary_key=True)
    session = models.ForeignKey(
        Session, models.CASCADE, db_column="session_key", db_index=False, related_name="items"
    )
    position = models.BigIntegerField(_("position"))
    role = models.TextField(_("role"), null=True)
    text = models.TextField(
        _("text"), null=True, help_text=_("What a person would read; for searching.")
    )
    data = models.TextField(
        _("data"), help_text=_("The item as JSON text, exactly as it was written.")
    )
    terms = TermsField(null=True, editable=False)
    tokens = models.BigIntegerField(_("tokens"), null=True)
    failed_calls = models.SmallIntegerField(
        _("failed calls"), null=True, help_text=_("The failed tool calls in the item.")
    )
    turn = models.BigIntegerField(
        null=True, editable=False, help_text="The number of the turn that it opens."
    )
    usage = DocumentField(null=True, editable=False, help_text="The usage of the runs in its turn.")
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("item")
        verbose_name_plural = _("items")
        db_table = "parlant_store_session_item"
        constraints: ClassVar = [
            UniqueConstraint(fields=["session", "position"], name="parlant_store_item_position"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["session", "turn"],
                name="parlant_store_item_turn",
                condition=Q(turn__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.position}"

    @property
    def item(self) -> Any:
        """The item as a dict; raises json.JSONDecodeError if the row is damaged."""
        return json.loads(self.data)
