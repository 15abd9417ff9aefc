"""The addresses of a project that has the admin twice."""

from django.contrib import admin
from django.urls import path

second = admin.AdminSite("second")
for model, model_admin in admin.site._registry.items():
    second.register(model, type(model_admin))

urlpatterns = [path("admin/", admin.site.urls), path("second/", second.urls)]
