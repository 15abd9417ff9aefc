"""What the address of a page asks a transcript for, and Markdown."""

import re
from urllib.parse import parse_qsl

import pytest

from parlant_store.admin.transcript import pages, reading
from parlant_store.admin.transcript.markdown import MAX_HTML, render
from parlant_store.models import Session
from tests.admin.pages import (
    CALL,
    OUTPUT,
    SCRIPT,
    entries,
    get,
    links,
    message,
    page,
    positions,
    text_of,
)
from tests.admin.pages import client as client
from tests.admin.transcript.pages import statuses

SAID = [
    message("Where is the **parcel**?"),
    {"type": "reasoning", "summary": [{"text": "Look it up."}]},
    CALL,
    OUTPUT,
    message("It is at the **depot**.", "assistant"),
]


def found(html):
    """The label and the links of a search within a conversation."""
    (shown,) = re.findall('<p class="parlant-matches">(.*?)</p>', html, re.DOTALL)
    return text_of(shown.partition("<a")[0]), re.findall('href="(.*?)"', shown)


@pytest.fixture
def address(store):
    store.add_items("s", SAID)
    return lambda **params: page(Session.objects.get(), **params)


def test_messages_only(client, address):
    html = get(client, address(show="messages"))
    assert positions(html) == [0, 4]
    assert "Look it up." not in html
    assert '<a href="?#items">Show everything</a>' in html


@pytest.mark.parametrize("calls", [0, 30])
def test_pages_of_messages_only(client, store, monkeypatch, calls):
    monkeypatch.setattr(pages, "PAGE", 2)
    monkeypatch.setattr(reading, "MAX_PASSED", 20)
    turn = [message("question"), *[CALL] * calls, message("answer", "assistant")]
    store.add_items("s", turn * 3)
    session = Session.objects.get()
    messages = [place for place, item in enumerate(turn * 3) if item != CALL]
    for direction, start, name in ((1, {}, "Next"), (-1, {"before": len(turn * 3)}, "Previous")):
        seen, params = [], start
        while params is not None:
            html = get(client, page(session, show="messages", **params))
            seen += positions(html)[::direction]
            query = dict(parse_qsl(links(html).get(name, "")))
            params = {key: query[key] for key in ("before", "after") if key in query} or None
        assert seen == messages[::direction]


@pytest.mark.any_database
def test_all_calls_are_unfolded(client, address):
    assert '<details class="parlant-call">' in get(client, address())
    html = get(client, address(calls="open"))
    assert '<details class="parlant-call" open>' in html
    assert '<details class="parlant-call">' not in html


@pytest.mark.any_database
def test_markdown_is_rendered_for_who_answers(client, address):
    question, *_, answer = entries(get(client, address()))
    assert "Where is the **parcel**?" in question
    assert '<p dir="auto">It is at the <strong>depot</strong>.</p>' in answer
    answer = entries(get(client, address(source="1")))[-1]
    assert '<p class="parlant-text" dir="auto">It is at the **depot**.</p>' in answer


def test_what_is_searched_for_is_highlighted_and_linked(client, address):
    html = get(client, address(find="DEP"))
    assert found(html) == ("1 match:", ["#item-4"])
    assert "<strong><mark>dep</mark>ot</strong>" in html
    assert found(get(client, address(find="rain day"))) == ("1 match:", ["#item-3"])
    assert found(get(client, address(find="köln rain"))) == ("1 match:", ["#item-2"])
    html = get(client, address(find="rain", calls=""))
    assert '<details class="parlant-call" open>' in html
    assert "<mark>rain</mark> &lt;b&gt;all&lt;/b&gt; day" in html
    assert found(get(client, address(find="parcel depot"))) == ("Nothing matches.", [])
    assert "parlant-matches" not in get(client, address(find="?!"))


def test_a_search_finds_items_on_other_pages(client, store, monkeypatch):
    monkeypatch.setattr(pages, "PAGE", 2)
    store.add_items("s", [message(f"loaf number {n % 3} 這盞燈") for n in range(9)])
    session = Session.objects.get()
    label, urls = found(get(client, page(session, find="number 1", after=3)))
    assert label == "3 matches:"
    assert urls == [
        "?find=number+1&amp;after=-1#item-1",
        "#item-4",
        "?find=number+1&amp;after=5#item-7",
    ]
    monkeypatch.setattr(reading, "MAX_SEARCHED", 4)
    html = get(client, page(session, find="number 1", after=6))
    assert found(html) == ("1 match:", ["#item-7"])
    assert "Only the last 4 of this conversation are searched." in html
    assert "are searched" not in get(client, page(session))
    monkeypatch.undo()
    monkeypatch.setattr(pages, "PAGE", 2)
    html = get(client, page(session, find="盞燈", after=8))
    assert found(html)[0] == "9 matches:"
    assert 'name="after" value="8"' in html


def test_failed_calls_on_other_pages_are_linked(client, store, monkeypatch):
    monkeypatch.setattr(pages, "PAGE", 2)
    error = OUTPUT | {"output": "An error occurred while running the tool."}
    store.add_items("s", [CALL, error, *(message(f"{n}") for n in range(6)), CALL, error])
    session = Session.objects.get()
    html = get(client, page(session, after=3))
    assert '<a href="?after=-1#item-1">Failed before this page: item 1</a>' in html
    assert '<a href="?after=7#item-9">Failed after this page: item 9</a>' in html
    html = get(client, page(session))
    assert "Failed before" not in html
    assert statuses(html) == ["1 failed"]
    assert "Failed after" not in get(client, page(session, after=7))


@pytest.mark.parametrize("words", [SCRIPT, "\0 a", "x" * 5_000, "'; --", "%"])
def test_any_words_may_be_searched_for(client, address, words):
    html = get(client, address(find=words))
    assert SCRIPT not in html
    assert positions(html) == [0, 1, 2, 3, 4]


@pytest.mark.any_database
def test_a_gap_of_a_day_is_shown(client, store):
    store.add_items("s", [message("a"), message("b"), message("c")])
    session = Session.objects.get()
    first, *_, last = session.items.order_by("position")
    times = {first.key: "2030-01-01T23:00Z", first.key + 1: "2030-01-02T01:00Z"}
    for key, time in (times | {last.key: "2030-01-05T02:00Z"}).items():
        session.items.filter(key=key).update(created_at=time)
    html = get(client, page(session))
    assert re.findall(r'<li class="parlant-gap"><span>(.*?)</span>', html) == ["3 days later"]
    assert html.index("3 days later") > html.index('id="item-1"')


# Markdown


MARKDOWN = {
    "headings are none of the page": (
        "# Top\n## Next",
        '<p dir="auto" class="parlant-heading">Top',
    ),
    "html is text": ("<b>x</b> &lt;i&gt;", "&lt;b&gt;x&lt;/b&gt; &lt;i&gt;"),
    "a link is text": (
        "[shop](https://a.example 'title')",
        '<span class="parlant-link">shop <code dir="ltr">https://a.example</code></span>',
    ),
    "an address is text": ("<https://a.example>", '"parlant-link">https://a.example</span>'),
    "a script is no link": ("[x](javascript:alert)", "[x](javascript:alert)"),
    "an image is a placeholder": (
        "![a lamp](https://a.example/l.png)",
        '<span class="parlant-attachment">Image, a lamp, https://a.example/l.png</span>',
    ),
    "columns are aligned by classes": (
        "|a|b|\n|-:|:-:|\n|1|2|",
        '<td class="parlant-end">1</td>\n<td class="parlant-center">2</td>',
    ),
    "code": ("```html\n<p>\n```", '<pre dir="ltr"><code>&lt;p&gt;\n</code></pre>'),
    "lines are kept": ("a\nb", "a<br>\nb"),
    "a list begins where it says": ("3. c\n4. d", '<ol start="3" dir="auto">'),
    "struck out": ("~~a~~ `b`", "<s>a</s> <code>b</code>"),
}


@pytest.mark.any_database
@pytest.mark.parametrize(("text", "expected"), MARKDOWN.values(), ids=MARKDOWN)
def test_markdown_loads_nothing_and_leads_nowhere(text, expected):
    html, rest = render(text)
    assert expected in html
    assert rest == ""
    assert not re.search(r"<(a|img|script|h\d|style)\b| (href|src|style|on\w+)=", html)


@pytest.mark.any_database
def test_a_long_text_is_folded_between_two_blocks():
    block = "- one\n- two\n\n```\n" + "x\n" * 900 + "```\n\nafter **it**\n"
    html, rest = render(block)
    assert html.count("<pre") == html.count("</pre>") == 1
    assert rest == '<p dir="auto">after <strong>it</strong></p>\n'


@pytest.mark.any_database
@pytest.mark.parametrize(
    "sign",
    ["[", "![", "*a", "`a", "<", "> ", "|a", "a|b\n-|-\n", "[a]: b\n", "- a\n", "**a **"],
)
def test_no_text_makes_a_large_page_or_takes_long(sign):
    shown = render((sign * 10_000)[:10_000])
    assert shown is None or sum(map(len, shown)) <= MAX_HTML
