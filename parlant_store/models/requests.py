"""The model of writes that may be repeated."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from parlant_store.fields import CodePointField


class Request(models.Model):
    """A write and its result: repeated with the same id, it is not done again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    user_id = CodePointField(_("owner"), null=True)
    answer = models.TextField(null=True, help_text=_("JSON text."))
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("request")
        verbose_name_plural = _("requests")
        indexes: ClassVar = [models.Index(fields=["created_at"], name="parlant_store_request_age")]

    def __str__(self) -> str:
        return str(self.id)
