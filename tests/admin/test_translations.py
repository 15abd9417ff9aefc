"""The catalogs are complete, and as they are compiled."""

import re

import pytest
from django.apps import apps
from django.utils import translation

from tests.admin.catalogs import (
    LANGUAGES,
    LOCALE,
    djangos,
    marked,
    messages,
    mo,
    names_of_functions,
    po,
)

pytestmark = pytest.mark.any_database

UPDATE = "Run make messages, translate what is new, and run it again."

PLACEHOLDERS = re.compile(r"%\(\w+\)[sd]|%[sd%]|\{\w*\}")
PLURALS = {"ar": 6, "de": 2, "es": 3, "fr": 3, "ja": 1, "pt_BR": 3}
"""How many forms Django's own catalogs have."""

FUNCTIONS = {
    "_",
    "activate",
    "get_language",
    "get_language_info",
    "gettext",
    "gettext_lazy",
    "ngettext",
    "ngettext_lazy",
    "npgettext",
    "npgettext_lazy",
    "override",
    "pgettext",
    "pgettext_lazy",
}
"""Names that makemessages knows, or that translate nothing."""


def test_every_language_has_a_catalog():
    assert sorted(path.name for path in LOCALE.iterdir()) == LANGUAGES


def test_texts_are_marked_by_names_that_are_extracted():
    assert [each for each in names_of_functions() if each[1] not in FUNCTIONS] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language):
    texts, catalog = marked(), po(language)
    found = messages(catalog)
    assert len(texts) > 100
    missing = {key: texts[key] for key in set(texts) - set(found)}
    assert missing == {}, UPDATE
    assert set(found) - set(texts) == set(), f"These are used no more. {UPDATE}"
    assert [key for key, forms in found.items() if not all(forms)] == []
    assert [message.id for message in catalog if message.id and message.fuzzy] == []
    assert not catalog.obsolete


@pytest.mark.parametrize("language", LANGUAGES)
def test_plural_forms_are_those_of_django(language):
    catalog = po(language)
    assert catalog.num_plurals == PLURALS[language]
    for key, forms in messages(catalog).items():
        assert len(forms) == (catalog.num_plurals if len(key) == 3 else 1), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_stay(language):
    for (_, *texts), forms in messages(po(language)).items():
        # A form for one or two may say the number in words.
        needed = set(PLACEHOLDERS.findall(texts[-1]))
        allowed = needed | set(PLACEHOLDERS.findall(texts[0]))
        for form in forms:
            found = set(PLACEHOLDERS.findall(form))
            assert found <= allowed, form
        assert set(PLACEHOLDERS.findall(forms[-1])) == needed, forms[-1]
        assert (
            texts[0] != texts[0].strip() or [form for form in forms if form != form.strip()] == []
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogs_are_compiled(language):
    assert messages(mo(language)) == messages(po(language)), UPDATE


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_texts_that_django_has_too_are_as_django_translates_them(language):
    """Of two apps that translate a text, the first of INSTALLED_APPS decides for all pages."""
    own = djangos(language)
    differ = {
        key: (forms, own[key])
        for key, forms in messages(po(language)).items()
        if key in own and forms != own[key]
    }
    assert differ == {}


def test_models_are_named_in_the_language():
    models = list(apps.get_app_config("parlant_store").get_models())
    with translation.override("de"):
        german = {str(model._meta.verbose_name) for model in models}
    with translation.override("en"):
        assert not german & {str(model._meta.verbose_name) for model in models}
