"""The tenants of a project with django-tenants: each has a schema of its own."""

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Company(TenantMixin):
    name = models.CharField(max_length=100)


class Domain(DomainMixin):
    pass
