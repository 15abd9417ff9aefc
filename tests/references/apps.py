from django.apps import AppConfig


class References(AppConfig):
    name = "tests.references"
    label = "references"
