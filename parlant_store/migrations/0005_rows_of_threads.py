import parlant_store.fields
from parlant_store.sql.completion import UpdateFunctions
from parlant_store.sql.migration_operations import AddMissingConstraint, RemoveExistingConstraint
from parlant_store.sql.search_index import CHECKPOINTS, CreateSearchIndex
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('parlant_store', '0004_threads'),
    ]

    operations = [
        migrations.AlterField(
            model_name='checkpoint',
            name='key',
            field=parlant_store.fields.RowKeyField(primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name='checkpointwrite',
            name='key',
            field=parlant_store.fields.RowKeyField(primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name='channelvalue',
            name='key',
            field=parlant_store.fields.RowKeyField(primary_key=True, serialize=False),
        ),
        RemoveExistingConstraint(
            model_name='channelvalue',
            name='parlant_store_value_version',
        ),
        AddMissingConstraint(
            model_name='channelvalue',
            constraint=models.UniqueConstraint(fields=('thread', 'checkpoint_ns', 'version', 'channel'), name='parlant_store_value_channel'),
        ),
        CreateSearchIndex(CHECKPOINTS),
        UpdateFunctions(),
    ]
