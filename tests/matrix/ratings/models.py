"""A project's own tables that point at the store's."""

from django.db import models


class Rating(models.Model):
    session = models.ForeignKey("parlant_store.Session", models.CASCADE)


class Highlight(models.Model):
    item = models.ForeignKey("parlant_store.SessionItem", models.CASCADE)


class Invoice(models.Model):
    session = models.ForeignKey("parlant_store.Session", models.PROTECT)


class Contract(models.Model):
    document = models.ForeignKey("parlant_store.Document", models.PROTECT)


class Reading(models.Model):
    document = models.ForeignKey("parlant_store.Document", models.CASCADE)
