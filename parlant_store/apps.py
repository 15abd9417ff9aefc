from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ParlantStoreConfig(AppConfig):
    name = "parlant_store"
    verbose_name = _("Agent memory")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from parlant_store import checks  # noqa: F401  (registers the system checks)
        from parlant_store.sql.completion import complete_after_migrate

        post_migrate.connect(complete_after_migrate, sender=self)
