from django.contrib import admin
from django.urls import path

from tests.matrix import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("turn/", views.turn),
    path("async-turn/", views.async_turn),
    path("async-store/", views.async_store),
]
