from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ParlantStoreConfig(AppConfig):
    name = "parlant_store"
    verbose_name = _("Agent memory")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from parlant_store import checks  # noqa: F401  (registers the system checks)
