import parlant_store.fields
from parlant_store.sql.completion import UpdateFunctions
from parlant_store.sql.generated_columns import Framework, LengthClass, Minute
from parlant_store.sql.search_index import DOCUMENTS, CreateSearchIndex
from parlant_store.sql.triggers import CreateTriggers
from django.db import migrations, models


class Migration(migrations.Migration):

    # migrate --fake-initial skips it if supabase_sql has added the columns already.
    initial = True

    dependencies = [
        ('parlant_store', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='document',
            name='terms',
            field=parlant_store.fields.TermsField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='document',
            name='failed_calls',
            field=models.BigIntegerField(help_text='The failed tool calls of an event, or of all events of a Parlant session.', null=True, verbose_name='failed calls'),
        ),
        migrations.AddField(
            model_name='document',
            name='active_minute',
            field=models.BigIntegerField(help_text='The last activity of a Parlant session, in minutes since 1970.', null=True),
        ),
        migrations.AddField(
            model_name='document',
            name='item_count',
            field=models.BigIntegerField(help_text='The messages of a Parlant session.', null=True, verbose_name='messages'),
        ),
        migrations.AddField(
            model_name='document',
            name='length_class',
            field=models.BigIntegerField(help_text='The binary logarithm of the messages, rounded down.', null=True),
        ),
        migrations.AlterField(
            model_name='session',
            name='tokens',
            field=models.BigIntegerField(blank=True, help_text='The tokens that items and runs report; null if none is known.', null=True, verbose_name='tokens'),
        ),
        migrations.AddField(
            model_name='session',
            name='failed_calls',
            field=models.BigIntegerField(db_default=0, default=0, verbose_name='failed calls'),
        ),
        migrations.AddField(
            model_name='session',
            name='active_minute',
            field=parlant_store.fields.GeneratedColumn(db_persist=True, expression=Minute('updated_at'), help_text='The last change, in minutes since 1970.', output_field=models.BigIntegerField()),
        ),
        migrations.AddField(
            model_name='session',
            name='framework',
            field=parlant_store.fields.GeneratedColumn(db_persist=True, expression=Framework('state'), output_field=models.TextField()),
        ),
        migrations.AddField(
            model_name='session',
            name='length_class',
            field=parlant_store.fields.GeneratedColumn(db_persist=True, expression=LengthClass('item_count'), output_field=models.BigIntegerField()),
        ),
        migrations.AddField(
            model_name='sessionitem',
            name='failed_calls',
            field=models.SmallIntegerField(help_text='The failed tool calls in the item.', null=True, verbose_name='failed calls'),
        ),
        migrations.AddIndex(
            model_name='document',
            index=models.Index(condition=models.Q(('active_minute__isnull', False)), fields=['active_minute', 'key'], name='parlant_store_doc_active'),
        ),
        migrations.AddIndex(
            model_name='document',
            index=models.Index(condition=models.Q(('active_minute__isnull', False), ('failed_calls__gt', 0)), fields=['active_minute', 'key'], name='parlant_store_doc_failed'),
        ),
        migrations.AddIndex(
            model_name='document',
            index=models.Index(condition=models.Q(('length_class__isnull', False)), fields=['length_class', 'key'], name='parlant_store_doc_length'),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(fields=['framework', 'active_minute', 'key'], name='parlant_store_session_active'),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(fields=['namespace', 'active_minute', 'key'], name='parlant_store_session_recent'),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(condition=models.Q(('failed_calls__gt', 0)), fields=['active_minute', 'key'], name='parlant_store_session_failed'),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(fields=['length_class', 'key'], name='parlant_store_session_length'),
        ),
        migrations.AlterModelOptions(
            name='session',
            options={'permissions': [('expire_session', 'Can expire sessions now'), ('extend_session', 'Can extend sessions'), ('branch_session', 'Can branch sessions'), ('export_session', 'Can export sessions with their items')], 'verbose_name': 'conversation', 'verbose_name_plural': 'conversations'},
        ),
        migrations.AlterField(
            model_name='document',
            name='collection',
            field=parlant_store.fields.CodePointField(verbose_name='collection'),
        ),
        migrations.AlterField(
            model_name='document',
            name='data',
            field=parlant_store.fields.DocumentField(verbose_name='data'),
        ),
        migrations.AlterField(
            model_name='document',
            name='version',
            field=parlant_store.fields.CodePointField(null=True, verbose_name='version'),
        ),
        migrations.AlterField(
            model_name='session',
            name='metadata',
            field=parlant_store.fields.DocumentField(blank=True, default=dict, verbose_name='metadata'),
        ),
        migrations.AlterField(
            model_name='session',
            name='namespace',
            field=parlant_store.fields.CodePointField(blank=True, default='', verbose_name='namespace'),
        ),
        migrations.AlterField(
            model_name='session',
            name='state',
            field=parlant_store.fields.DocumentField(blank=True, default=dict, help_text='The state of the framework, in addition to the items.', verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='sessionitem',
            name='data',
            field=models.TextField(help_text='The item as JSON text, exactly as it was written.', verbose_name='data'),
        ),
        migrations.AlterField(
            model_name='sessionitem',
            name='position',
            field=models.BigIntegerField(verbose_name='position'),
        ),
        migrations.AlterField(
            model_name='sessionitem',
            name='role',
            field=models.TextField(null=True, verbose_name='role'),
        ),
        migrations.AlterField(
            model_name='sessionitem',
            name='text',
            field=models.TextField(help_text='What a person would read; for searching.', null=True, verbose_name='text'),
        ),
        migrations.AlterField(
            model_name='sessionitem',
            name='tokens',
            field=models.BigIntegerField(null=True, verbose_name='tokens'),
        ),
        migrations.RunSQL(
            "UPDATE parlant_store_session SET tokens = NULL WHERE tokens = 0",
            "UPDATE parlant_store_session SET tokens = 0 WHERE tokens IS NULL",
        ),
        CreateSearchIndex(DOCUMENTS),
        UpdateFunctions(),
        CreateTriggers(),
    ]
