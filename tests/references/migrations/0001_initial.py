"""Makes a table for each model, after those that they refer to."""

from typing import ClassVar

from django.apps import apps
from django.db import migrations


def create_tables(_apps, schema_editor):
    for model in apps.get_app_config("references").get_models():
        schema_editor.create_model(model)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("parlant_store", "0001_initial")]
    operations: ClassVar = [migrations.RunPython(create_tables)]
