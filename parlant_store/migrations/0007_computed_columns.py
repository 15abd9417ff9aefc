from typing import Any

from parlant_store.sql.completion import UpdateFunctions
from parlant_store.sql.computed_columns import ComputeColumns
from parlant_store.sql.triggers import CreateTriggers
from django.db import migrations, models


FIELDS: list[tuple[str, str, Any]] = [
    ('session', 'active_minute', models.BigIntegerField(db_default=0, editable=False, help_text='The last change, in minutes since 1970.')),
    ('session', 'framework', models.TextField(db_default='openai', editable=False)),
    ('session', 'length_class', models.BigIntegerField(db_default=-1, editable=False)),
    ('thread', 'active_minute', models.BigIntegerField(db_default=0, editable=False, help_text='The last change, in minutes since 1970.')),
]
INDEXES = [
    ('session', models.Index(condition=models.Q(('user_id__isnull', False)), fields=['user_id', 'active_minute', 'key'], name='parlant_store_session_person')),
    ('session', models.Index(fields=['framework', 'active_minute', 'key'], name='parlant_store_session_active')),
    ('session', models.Index(fields=['namespace', 'active_minute', 'key'], name='parlant_store_session_recent')),
    ('session', models.Index(condition=models.Q(('failed_calls__gt', 0)), fields=['active_minute', 'key'], name='parlant_store_session_failed')),
    ('session', models.Index(fields=['length_class', 'key'], name='parlant_store_session_length')),
    ('thread', models.Index(fields=['active_minute', 'key'], name='parlant_store_thread_active')),
    ('thread', models.Index(fields=['namespace', 'active_minute', 'key'], name='parlant_store_thread_recent')),
]


class Migration(migrations.Migration):

    dependencies = [
        ('parlant_store', '0006_conversations_of_threads'),
    ]

    operations = [
        UpdateFunctions(),
        ComputeColumns(
            operations=[
                *(migrations.RemoveIndex(model_name=model, name=index.name) for model, index in INDEXES),
                *(migrations.RemoveField(model_name=model, name=name) for model, name, _ in FIELDS),
                *(migrations.AddField(model_name=model, name=name, field=field) for model, name, field in FIELDS),
                *(migrations.AddIndex(model_name=model, index=index) for model, index in INDEXES),
            ],
            state_operations=[
                migrations.AlterField(model_name=model, name=name, field=field)
                for model, name, field in FIELDS
            ],
        ),
        CreateTriggers(),
    ]
