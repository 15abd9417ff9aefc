import django.db.models.deletion
import parlant_store.fields
from parlant_store.sql.completion import UpdateFunctions
from parlant_store.sql.search_index import MESSAGES, CreateSearchIndex
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('parlant_store', '0007_computed_columns'),
    ]

    operations = [
        migrations.AddField(
            model_name='thread',
            name='title',
            field=models.TextField(editable=False, help_text='The beginning of the first message of a user.', null=True),
        ),
        migrations.CreateModel(
            name='ThreadMessage',
            fields=[
                ('key', parlant_store.fields.RowKeyField(primary_key=True, serialize=False)),
                ('digest', models.BigIntegerField(help_text='A checksum of the role and the text.')),
                ('number', models.BigIntegerField(help_text='The place of the message in the state, from 1.')),
                ('text', models.TextField(verbose_name='text')),
                ('terms', parlant_store.fields.TermsField(editable=False, null=True)),
                ('thread', models.ForeignKey(db_column='thread_key', db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, to='parlant_store.thread')),
            ],
            options={
                'verbose_name': 'message of a thread',
                'verbose_name_plural': 'messages of threads',
                'db_table': 'parlant_store_thread_message',
                'constraints': [models.UniqueConstraint(fields=('thread', 'digest'), name='parlant_store_message_digest')],
            },
        ),
        CreateSearchIndex(MESSAGES),
        UpdateFunctions(),
    ]
