"""Every page speaks the reader's language, in whole sentences."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.utils import translation

from parlant_store.models import (
    ChannelValue,
    CheckpointWrite,
    Document,
    Session,
    SessionItem,
    Thread,
)
from tests.admin.catalogs import untranslated_by_django
from tests.admin.page_texts import texts
from tests.admin.pages import listing, superuser
from tests.browser.screens import TWO_STORES, addresses, fill

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]

NAMES = """
    Agents API CSV Django GB JSON KB LangGraph Lines MB MCP OpenAI OrmBackend Parlant
    RedisBackend SDK SHA SQLite SupabaseBackend URL UTC agents bytes default elsewhere id loop
    pickle selectools
"""
"""Words that are the same in every language, and the names of the stores."""

ENGLISH = re.compile(
    r"\b(?:and|are|as|at|be|been|by|can|for|from|has|have|if|is|its?|not|of|on|only|or|that|the"
    r"|there|these|they|this|to|was|were|when|which|with)\b"
)
"""Words that English sentences have and German ones have not."""

ALT = "Search"
"""Django has it in a template."""

LATIN = re.compile(r"[A-Za-z]{2,}")


@pytest.fixture
def client(store: Any, settings: Any) -> Any:
    settings.PARLANT_STORES = TWO_STORES
    fill()
    Session.objects.filter(session_id="session-2").update(expires_at="2100-01-01T00:00Z")
    return superuser()


def pages(client: Any) -> Iterator[tuple[str, str]]:
    """The name and the content of each page, those that ask and those that tell among them."""
    for name, url in addresses():
        yield name, client.get(url).content.decode()
    for model in (Session, Document):
        url = listing(model._meta.model_name)
        keys = list(model.objects.order_by("key").values_list("pk", flat=True))
        for action in admin.site._registry[model].actions or ():
            for chosen in (keys[:1], keys):
                data = {"action": getattr(action, "__name__", action), "_selected_action": chosen}
                yield (
                    f"{data['action']} {len(chosen)}",
                    client.post(url, data, follow=True).content.decode(),
                )


def words_of_data() -> set[str]:
    models = (Session, SessionItem, Document, Thread, ChannelValue, CheckpointWrite)
    rows = [row for model in models for row in model.objects.values()]
    return set(LATIN.findall(json.dumps(rows, default=str)))


def said(client: Any, language: str) -> dict[str, list[str]]:
    with translation.override(language):
        return {name: sorted(texts(html)) for name, html in pages(client)}


def is_cut(word: str, text: str, data: set[str]) -> bool:
    """Is it the beginning of a word of data, which does not fit its column?"""
    return text.endswith(f"{word}…") and any(other.startswith(word) for other in data)


def test_arabic_pages_have_no_other_words(client):
    allowed = words_of_data() | set(NAMES.split())
    djangos = untranslated_by_django("ar")
    found = {
        (text, word)
        for name, sentences in said(client, "ar").items()
        for text in sentences
        if text != ALT and not djangos.fullmatch(text)
        for word in LATIN.findall(text)
        if word not in allowed and not is_cut(word, text, allowed)
    }
    assert sorted(found) == []


def test_german_pages_have_no_english_sentences(client):
    data = words_of_data()
    found = {
        text
        for sentences in said(client, "de").values()
        for text in sentences
        if set(ENGLISH.findall(text)) - data
    }
    assert sorted(found) == []


SAME = """
    Agent Backend Filter Framework Name Person Position Search System Text Tokens Version
"""
"""Words that both languages have, and ALT."""


def test_nothing_is_said_in_english_alone(client):
    """Texts that are the same in German and in English are names, or were forgotten."""
    english, german = said(client, "en"), said(client, "de")
    djangos = untranslated_by_django("de")
    data = words_of_data()
    allowed = data | set(NAMES.split()) | set(SAME.split())
    same = {
        text
        for name in english
        for text in set(english[name]) & set(german[name])
        if not djangos.fullmatch(text)
        for word in LATIN.findall(text)
        if word not in allowed and not is_cut(word, text, data)
    }
    assert sorted(same) == []
