import parlant_store.fields
from parlant_store.sql.completion import UpdateFunctions
from parlant_store.sql.triggers import CreateTriggers
from parlant_store.sql.turns import NUMBER_TURNS
from django.db import migrations, models


class Migration(migrations.Migration):

    # migrate --fake-initial skips it if supabase_sql has added the columns already.
    initial = True

    dependencies = [
        ('parlant_store', '0002_conversations'),
    ]

    operations = [
        migrations.AddField(
            model_name='session',
            name='next_turn',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='session',
            name='parent_id',
            field=parlant_store.fields.CodePointField(editable=False, help_text='The session that it is a branch of.', null=True),
        ),
        migrations.AddField(
            model_name='session',
            name='parent_name',
            field=models.TextField(editable=False, help_text='JSON of the id of a parent that is too long.', null=True),
        ),
        migrations.AddField(
            model_name='session',
            name='parent_position',
            field=models.BigIntegerField(editable=False, help_text='The position of the last copied item.', null=True),
        ),
        migrations.AddField(
            model_name='session',
            name='usage',
            field=parlant_store.fields.DocumentField(editable=False, help_text='The usage of all runs; null if none is known.', null=True),
        ),
        migrations.AddField(
            model_name='sessionitem',
            name='turn',
            field=models.BigIntegerField(editable=False, help_text='The number of the turn that it opens.', null=True),
        ),
        migrations.AddField(
            model_name='sessionitem',
            name='usage',
            field=parlant_store.fields.DocumentField(editable=False, help_text='The usage of the runs in its turn.', null=True),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(condition=models.Q(('parent_id__isnull', False)), fields=['namespace', 'parent_id'], name='parlant_store_session_parent'),
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(condition=models.Q(('user_id__isnull', False)), fields=['user_id', 'active_minute', 'key'], name='parlant_store_session_person'),
        ),
        migrations.AddIndex(
            model_name='sessionitem',
            index=models.Index(condition=models.Q(('turn__isnull', False)), fields=['session', 'turn'], name='parlant_store_item_turn'),
        ),
        *(migrations.RunSQL(statement, migrations.RunSQL.noop) for statement in NUMBER_TURNS),
        UpdateFunctions(),
        CreateTriggers(),
    ]
