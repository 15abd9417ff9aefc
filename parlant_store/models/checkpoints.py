"""The models of threads: the checkpoints of a graph, the values of its channels, and writes."""

from typing import ClassVar

from django.db import models
from django.db.models import Q, UniqueConstraint
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from parlant_store.content import codec
from parlant_store.fields import CodePointField, DocumentField, RowKeyField, TermsField


class Thread(models.Model):
    """The checkpoints of a graph under a thread_id, inside a namespace."""

    key = models.BigAutoField(primary_key=True)
    namespace = CodePointField(_("namespace"), blank=True, default="")
    thread_id = CodePointField(_("thread id"))
    user_id = CodePointField(_("owner"), null=True, blank=True)
    full_names = models.TextField(
        null=True,
        help_text=_("JSON of the names above that were too long for an index; mostly null."),
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())
    updated_at = models.DateTimeField(_("updated"), db_default=Now())
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    title = models.TextField(
        null=True, editable=False, help_text="The beginning of the first message of a user."
    )
    # A trigger computes it (parlant_store.sql.computed_columns).
    active_minute = models.BigIntegerField(
        db_default=0, editable=False, help_text=_("The last change, in minutes since 1970.")
    )

    class Meta:
        verbose_name = _("thread")
        verbose_name_plural = _("threads")
        permissions: ClassVar = [
            ("expire_thread", "Can expire threads now"),
            ("extend_thread", "Can extend threads"),
            ("branch_thread", "Can branch threads"),
            ("export_thread", "Can export threads with their checkpoints"),
        ]
        constraints: ClassVar = [
            UniqueConstraint(fields=["namespace", "thread_id"], name="parlant_store_thread_id"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["user_id", "namespace", "thread_id"],
                name="parlant_store_thread_owner",
                condition=Q(user_id__isnull=False),
            ),
            models.Index(
                fields=["expires_at"],
                name="parlant_store_thread_expires",
                condition=Q(expires_at__isnull=False),
            ),
            models.Index(fields=["active_minute", "key"], name="parlant_store_thread_active"),
            models.Index(
                fields=["namespace", "active_minute", "key"],
                name="parlant_store_thread_recent",
            ),
        ]

    def __str__(self) -> str:
        name = codec.from_column(self.thread_id)
        return f"{codec.from_column(self.namespace)}/{name}" if self.namespace else name


class _RowOfThread(models.Model):
    key = RowKeyField(primary_key=True)
    # Each write locks the row of the thread: the database need not do so for each of its rows.
    thread = models.ForeignKey(
        Thread, models.CASCADE, db_column="thread_key", db_index=False, db_constraint=False
    )

    class Meta:
        abstract = True


class ThreadMessage(_RowOfThread):
    """The text of a message in the latest state of a thread, for search."""

    digest = models.BigIntegerField(help_text="A checksum of the role and the text.")
    number = models.BigIntegerField(help_text="The place of the message in the state, from 1.")
    text = models.TextField(_("text"))
    terms = TermsField(null=True, editable=False)

    class Meta:
        verbose_name = _("message of a thread")
        verbose_name_plural = _("messages of threads")
        db_table = "parlant_store_thread_message"
        constraints: ClassVar = [
            UniqueConstraint(fields=["thread", "digest"], name="parlant_store_message_digest"),
        ]

    def __str__(self) -> str:
        return str(self.number)


class _PartOfThread(_RowOfThread):
    """A row of a thread, in a namespace of its graph."""

    checkpoint_ns = CodePointField("checkpoint namespace", blank=True)

    class Meta:
        abstract = True


class Checkpoint(_PartOfThread):
    """The state of a graph after a step, without the values of its channels."""

    full_ns = models.TextField(
        null=True,
        editable=False,
        help_text="The checkpoint namespace if it was too long for an index; mostly null.",
    )
    checkpoint_id = CodePointField("checkpoint id")
    parent_id = CodePointField("parent", null=True)
    run_id = CodePointField("run", null=True)
    type = models.TextField("type")
    value = models.BinaryField("value")
    versions = DocumentField("versions", help_text="The version of each channel, as JSON text.")
    metadata = DocumentField("metadata")
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")
        constraints: ClassVar = [
            UniqueConstraint(
                fields=["thread", "checkpoint_ns", "checkpoint_id"],
                name="parlant_store_checkpoint_id",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["run_id"],
                name="parlant_store_checkpoint_run",
                condition=Q(run_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return codec.from_column(self.checkpoint_id)


class ChannelValue(_PartOfThread):
    """The value of a channel at a version, which any number of checkpoints have."""

    channel = CodePointField("channel")
    version = CodePointField("version", help_text="JSON text.")
    type = models.TextField("type")
    value = models.BinaryField("value")

    class Meta:
        verbose_name = _("value of a channel")
        verbose_name_plural = _("values of channels")
        db_table = "parlant_store_channel_value"
        constraints: ClassVar = [
            # Versions grow: the values of a step are next to one another at the end.
            UniqueConstraint(
                fields=["thread", "checkpoint_ns", "version", "channel"],
                name="parlant_store_value_channel",
            ),
        ]

    def __str__(self) -> str:
        return codec.from_column(self.channel)


class CheckpointWrite(_PartOfThread):
    """What a task wrote to a channel after a checkpoint, which may be stored later than it."""

    checkpoint_id = CodePointField("checkpoint id")
    task_id = CodePointField("task")
    idx = models.IntegerField(
        "index", help_text="The position among the writes of the task; below 0: its kind."
    )
    task_path = models.TextField("path of the task", blank=True)
    channel = CodePointField("channel")
    type = models.TextField("type")
    value = models.BinaryField("value")

    class Meta:
        verbose_name = _("write of a task")
        verbose_name_plural = _("writes of tasks")
        db_table = "parlant_store_checkpoint_write"
        constraints: ClassVar = [
            UniqueConstraint(
                fields=["thread", "checkpoint_ns", "checkpoint_id", "task_id", "idx"],
                name="parlant_store_write_idx",
            ),
        ]

    def __str__(self) -> str:
        return codec.from_column(self.channel)
