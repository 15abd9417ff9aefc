from parlant_store.sql.completion import UpdateFunctions
from parlant_store.sql.migration_operations import AddMissingIndex
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('parlant_store', '0005_rows_of_threads'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='thread',
            options={
                'permissions': [
                    ('expire_thread', 'Can expire threads now'),
                    ('extend_thread', 'Can extend threads'),
                    ('branch_thread', 'Can branch threads'),
                    ('export_thread', 'Can export threads with their checkpoints'),
                ],
                'verbose_name': 'thread',
                'verbose_name_plural': 'threads',
            },
        ),
        AddMissingIndex(
            model_name='thread',
            index=models.Index(fields=['namespace', 'active_minute', 'key'], name='parlant_store_thread_recent'),
        ),
        UpdateFunctions(),
    ]
