import django.db.models.deletion
import django.db.models.functions.datetime
import parlant_store.fields
import parlant_store.sql.generated_columns
from parlant_store.sql.completion import UpdateFunctions
from django.db import migrations, models


class Migration(migrations.Migration):

    # migrate --fake-initial skips it if supabase_sql has created the tables already.
    initial = True

    dependencies = [
        ('parlant_store', '0003_history'),
    ]

    operations = [
        migrations.CreateModel(
            name='Thread',
            fields=[
                ('key', models.BigAutoField(primary_key=True, serialize=False)),
                ('namespace', parlant_store.fields.CodePointField(blank=True, default='', verbose_name='namespace')),
                ('thread_id', parlant_store.fields.CodePointField(verbose_name='thread id')),
                ('user_id', parlant_store.fields.CodePointField(blank=True, null=True, verbose_name='owner')),
                ('full_names', models.TextField(help_text='JSON of the names above that were too long for an index; mostly null.', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='updated')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires')),
                ('active_minute', parlant_store.fields.GeneratedColumn(db_persist=True, expression=parlant_store.sql.generated_columns.Minute('updated_at'), help_text='The last change, in minutes since 1970.', output_field=models.BigIntegerField())),
            ],
            options={
                'verbose_name': 'thread',
                'verbose_name_plural': 'threads',
                'indexes': [models.Index(condition=models.Q(('user_id__isnull', False)), fields=['user_id', 'namespace', 'thread_id'], name='parlant_store_thread_owner'), models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='parlant_store_thread_expires'), models.Index(fields=['active_minute', 'key'], name='parlant_store_thread_active')],
                'constraints': [models.UniqueConstraint(fields=('namespace', 'thread_id'), name='parlant_store_thread_id')],
            },
        ),
        migrations.CreateModel(
            name='CheckpointWrite',
            fields=[
                ('key', models.BigAutoField(primary_key=True, serialize=False)),
                ('checkpoint_ns', parlant_store.fields.CodePointField(blank=True, verbose_name='checkpoint namespace')),
                ('checkpoint_id', parlant_store.fields.CodePointField(verbose_name='checkpoint id')),
                ('task_id', parlant_store.fields.CodePointField(verbose_name='task')),
                ('idx', models.IntegerField(help_text='The position among the writes of the task; below 0: its kind.', verbose_name='index')),
                ('task_path', models.TextField(blank=True, verbose_name='path of the task')),
                ('channel', parlant_store.fields.CodePointField(verbose_name='channel')),
                ('type', models.TextField(verbose_name='type')),
                ('value', models.BinaryField(verbose_name='value')),
                ('thread', models.ForeignKey(db_column='thread_key', db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, to='parlant_store.thread')),
            ],
            options={
                'verbose_name': 'write of a task',
                'verbose_name_plural': 'writes of tasks',
                'db_table': 'parlant_store_checkpoint_write',
                'constraints': [models.UniqueConstraint(fields=('thread', 'checkpoint_ns', 'checkpoint_id', 'task_id', 'idx'), name='parlant_store_write_idx')],
            },
        ),
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('key', models.BigAutoField(primary_key=True, serialize=False)),
                ('checkpoint_ns', parlant_store.fields.CodePointField(blank=True, verbose_name='checkpoint namespace')),
                ('full_ns', models.TextField(editable=False, help_text='The checkpoint namespace if it was too long for an index; mostly null.', null=True)),
                ('checkpoint_id', parlant_store.fields.CodePointField(verbose_name='checkpoint id')),
                ('parent_id', parlant_store.fields.CodePointField(null=True, verbose_name='parent')),
                ('run_id', parlant_store.fields.CodePointField(null=True, verbose_name='run')),
                ('type', models.TextField(verbose_name='type')),
                ('value', models.BinaryField(verbose_name='value')),
                ('versions', parlant_store.fields.DocumentField(help_text='The version of each channel, as JSON text.', verbose_name='versions')),
                ('metadata', parlant_store.fields.DocumentField(verbose_name='metadata')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created')),
                ('thread', models.ForeignKey(db_column='thread_key', db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, to='parlant_store.thread')),
            ],
            options={
                'verbose_name': 'checkpoint',
                'verbose_name_plural': 'checkpoints',
                'indexes': [models.Index(condition=models.Q(('run_id__isnull', False)), fields=['run_id'], name='parlant_store_checkpoint_run')],
                'constraints': [models.UniqueConstraint(fields=('thread', 'checkpoint_ns', 'checkpoint_id'), name='parlant_store_checkpoint_id')],
            },
        ),
        migrations.CreateModel(
            name='ChannelValue',
            fields=[
                ('key', models.BigAutoField(primary_key=True, serialize=False)),
                ('checkpoint_ns', parlant_store.fields.CodePointField(blank=True, verbose_name='checkpoint namespace')),
                ('channel', parlant_store.fields.CodePointField(verbose_name='channel')),
                ('version', parlant_store.fields.CodePointField(help_text='JSON text.', verbose_name='version')),
                ('type', models.TextField(verbose_name='type')),
                ('value', models.BinaryField(verbose_name='value')),
                ('thread', models.ForeignKey(db_column='thread_key', db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, to='parlant_store.thread')),
            ],
            options={
                'verbose_name': 'value of a channel',
                'verbose_name_plural': 'values of channels',
                'db_table': 'parlant_store_channel_value',
                'constraints': [models.UniqueConstraint(fields=('thread', 'checkpoint_ns', 'channel', 'version'), name='parlant_store_value_version')],
            },
        ),
        UpdateFunctions(),
    ]
