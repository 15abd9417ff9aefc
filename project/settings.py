"""Settings of the demo project, read from the environment by django-environ.

DATABASE_URL          where the tables live; an SQLite file beside manage.py by default
DJANGO_SECRET_KEY     needed as soon as DJANGO_DEBUG is off
DJANGO_DEBUG          on by default: this is a demo
DJANGO_ALLOWED_HOSTS  comma-separated; loopback by default
SUPABASE_URL          a Supabase project, for a store "supabase"; no such store without it
SUPABASE_KEY          its secret key, sb_secret_...
SUPABASE_SCHEMA       where its tables are; public by default

manage.py supabase_check also reads SUPABASE_ANON_KEY and SUPABASE_USER_TOKEN.
"""

from pathlib import Path
from typing import Any

import environ

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DJANGO_DEBUG", default=True)
SECRET_KEY = env("DJANGO_SECRET_KEY", default="only-for-the-demo" if DEBUG else environ.Env.NOTSET)
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }

PARLANT_STORES: dict[str, Any] = {
    "default": {
        "BACKEND": "parlant_store.backends.orm.OrmBackend",
        "OPTIONS": {"using": "default", "ttl_seconds": None},
    }
}
if SUPABASE_URL := env("SUPABASE_URL", default=""):
    PARLANT_STORES["supabase"] = {
        "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
        "OPTIONS": {
            "url": SUPABASE_URL,
            "key": env("SUPABASE_KEY", default=""),
            "schema": env("SUPABASE_SCHEMA", default="public"),
        },
    }

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "parlant_store",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ASGI_APPLICATION = "project.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
