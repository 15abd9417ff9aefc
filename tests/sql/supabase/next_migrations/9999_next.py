from typing import ClassVar

from django.db import migrations, models
from django.db.models.functions import Now

from parlant_store.fields import CodePointField, DocumentField


class Migration(migrations.Migration):
    dependencies: ClassVar = [("parlant_store", "0002_conversations")]

    operations: ClassVar = [
        migrations.AddField("document", "language", CodePointField(null=True)),
        migrations.AddField("document", "labels", DocumentField(default=dict)),
        migrations.AddField("session", "title", models.TextField(default="it's new")),
        migrations.AddField("session", "seen_at", models.DateTimeField(db_default=Now())),
        migrations.AddField("session", "weight", models.IntegerField(db_default=7)),
        migrations.AlterField("session", "tokens", models.TextField(default="0")),
        migrations.AlterField("sessionitem", "tokens", models.BigIntegerField(default=3)),
        migrations.AlterField("sessionitem", "position", models.BigIntegerField(null=True)),
        migrations.AlterField(
            "request", "created_at", models.DateTimeField(db_default=models.Value("2020-01-01Z"))
        ),
        migrations.RemoveIndex("document", "parlant_store_doc_tag"),
        migrations.AddIndex(
            "document", models.Index(fields=["collection", "language"], name="parlant_store_doc_l")
        ),
        migrations.RemoveIndex("request", "parlant_store_request_age"),
        migrations.AddIndex(
            "request", models.Index(fields=["-created_at"], name="parlant_store_request_age")
        ),
        migrations.RemoveConstraint("sessionitem", "parlant_store_item_position"),
        migrations.AddConstraint(
            "sessionitem",
            models.UniqueConstraint(
                fields=["session", "position", "created_at"], name="parlant_store_item_place"
            ),
        ),
        migrations.AddConstraint(
            "request",
            models.CheckConstraint(
                condition=~models.Q(answer="never"), name="parlant_store_request_answer"
            ),
        ),
        migrations.CreateModel(
            "Note",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("text", models.TextField()),
            ],
        ),
    ]
