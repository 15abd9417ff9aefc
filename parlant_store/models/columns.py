"""Columns that several models have."""

from typing import Any

from django.db import models

from parlant_store.fields import GeneratedColumn


def generated(expression: models.Func, **options: Any) -> GeneratedColumn:
    return GeneratedColumn(
        expression=expression, output_field=expression.output_field, db_persist=True, **options
    )
