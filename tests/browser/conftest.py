"""A browser that a person has logged in with, on a server that may say what pages may load.

Playwright's event loop runs on the thread of the tests, where Django then refuses the ORM:
the tests and their fixtures are ordinary code all the same, and are let.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from django.test import override_settings
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from parlant_store.backends.base import BaseBackend
from project import browser as chromium
from tests.browser.visitor import TIMEOUT_SECONDS, Visitor

Visit = Callable[..., Page]

expect.set_options(timeout=TIMEOUT_SECONDS * 1000)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with patch.dict(os.environ, DJANGO_ALLOW_ASYNC_UNSAFE="true"), sync_playwright() as playwright:
        try:
            browser = chromium.launch(playwright)
        except FileNotFoundError as exc:
            pytest.fail(str(exc), pytrace=False)
        yield browser
        browser.close()
        # As Playwright's loop runs, they are in the context, of which later coroutines get a copy.
        for connection in connections.all(initialized_only=True):
            connection.close()
            del connections[connection.alias]


@pytest.fixture(scope="package")
def server(django_db_setup: None) -> Iterator[str]:
    """The address of the admin."""
    middleware = ["tests.browser.policy.strict_policy", *settings.MIDDLEWARE]
    with override_settings(MIDDLEWARE=middleware):
        live = LiveServer("127.0.0.1")
    yield f"{live.url}/admin/"
    live.stop()


@pytest.fixture
def visit(browser: Browser, server: str, store: BaseBackend) -> Iterator[Visit]:
    """Logs a superuser in, in a window of her own, whose options are Playwright's.

    At the end of the test no page has complained, and none has asked for anything elsewhere.
    """
    visitors: list[Visitor] = []
    root = User.objects.create_superuser("root")

    def visit(**options: Any) -> Page:
        visitors.append(Visitor(browser, server, root, **options))
        return visitors[-1].page

    yield visit
    for visitor in visitors:
        visitor.leave()
    assert [problem for visitor in visitors for problem in visitor.problems] == []


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit()
