"""Nothing that goes wrong before a visitor's eyes stays untold."""

import time

import pytest
from django.contrib.auth.models import User

from project import browser as chromium
from project.browser import log_in
from tests.browser.policy import ENFORCED, REPORTED, WANTED
from tests.browser.visitor import TIMEOUT_SECONDS, Visitor


@pytest.fixture(params=[ENFORCED, REPORTED], ids=["enforced", "reported"])
def visitor(browser, server, store, request):
    """A user who logs in by the form."""
    User.objects.create_superuser("root", password="secret")
    visitor = Visitor(browser, server, extra_http_headers={WANTED: request.param})
    log_in(visitor.page, server, "root", "secret")
    assert visitor.problems == []
    yield visitor
    visitor.leave()


def wait_for_problem(visitor: Visitor, words: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not any(words in problem for problem in visitor.problems):
        assert time.monotonic() < deadline, visitor.problems
        visitor.page.wait_for_timeout(20)


def test_what_goes_wrong(visitor):
    for markup in (
        "<p style='color: red'>x</p>",
        "<img src=x onerror='window.hacked=1'>",
        "<svg onload=x()>",
    ):
        visitor.problems.clear()
        visitor.page.locator("main").evaluate("(main, html) => main.innerHTML += html", markup)
        wait_for_problem(visitor, "Content Security Policy")
    visitor.page.evaluate("alert('boo')")
    visitor.page.evaluate("setTimeout(() => { throw new Error('oops') })")
    wait_for_problem(visitor, "dialog: boo")
    wait_for_problem(visitor, "oops")


def test_a_request_elsewhere(browser, server, store):
    visitor = Visitor(browser, server)
    visitor.page.goto("./")
    with visitor.page.expect_request("http://evil.example/x.png"):
        html = "main => main.innerHTML += '<img src=http://evil.example/x.png>'"
        visitor.page.locator("main").evaluate(html)
    wait_for_problem(visitor, "request: http://evil.example/x.png")
    visitor.leave()


@pytest.fixture
def no_browser(monkeypatch, tmp_path):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_missing_browser_is_named(no_browser):
    assert chromium.chromium() is None
    with pytest.raises(FileNotFoundError, match="apt-get install chromium, or set CHROMIUM"):
        chromium.launch(None)


def test_the_environment_names_a_browser(no_browser, monkeypatch):
    mine = no_browser / "mine"
    mine.touch(mode=0o755)
    monkeypatch.setenv("CHROMIUM", str(mine))
    assert chromium.chromium() == str(mine)
    monkeypatch.setenv("CHROMIUM", str(no_browser / "none"))
    assert chromium.chromium() is None
