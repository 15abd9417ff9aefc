"""The tests' project with the theme of the admin that THEME names, or with Django's own.

A theme comes before django.contrib.admin, whose templates it replaces.
"""

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

THEME = os.environ.get("THEME", "")
INSTALLED_APPS = [*([THEME] if THEME else []), *INSTALLED_APPS]

# The tests' browser reaches no other host.
JAZZMIN_SETTINGS = {"use_google_fonts_cdn": False}
JAZZMIN_UI_TWEAKS = {"default_theme_mode": "auto"}
