"""People in the admin: found, with all that the stores have of them, exported and erased."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import CHANGE, DELETION
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from parlant_store import stores
from parlant_store.admin.views import person as person_page
from parlant_store.admin.views import persons as people_page
from parlant_store.content import codec
from parlant_store.models import Document, Session
from tests.admin.pages import SCRIPT, bulk, get, listing, message, messages_of, page
from tests.admin.pages import patience as patience
from tests.admin.remote_stores import MARKS, NASTY, allowed, log
from tests.admin.remote_stores import client as client
from tests.admin.remote_stores import remote as remote

pytestmark = MARKS[:1]

VIEW = ("view_session", "view_sessionitem", "view_document")
ERASE = ("delete_session", "delete_document", "delete_thread")
EXPORT = ("export_session", "export_document", "export_thread")


def person(user="ada"):
    return reverse("admin:parlant_store_session_person", query={"user": codec.escape(user)})


def people(client, **params):
    """The ids and names in the list."""
    html = get(client, reverse("admin:parlant_store_session_people", query=params or None))
    found = r'<th scope="row"><a href="([^"]*)"><bdi>(.*?)</bdi></a></th><td[^>]*><bdi>(.*?)</bdi>'
    return {id_: name for _url, id_, name in re.findall(found, html)}


def section(html, name):
    """The text of the cells of a section's table, row by row."""
    (found,) = re.findall(rf'aria-labelledby="{name}-heading".*?</section>', html, re.DOTALL)
    return [
        [
            " ".join(re.sub("<.*?>", "", cell).split())
            for cell in re.findall(r"<t[dh][ >].*?</t[dh]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr>(.*?)</tr>", found, re.DOTALL)[1:]
    ]


def fill(store, user="ada"):
    """Two sessions, and four documents: a customer, a Parlant session, an event and a value."""
    store.add_items("s1", [message("Where is it?"), message("Shipped.", "assistant")], user_id=user)
    store.save_snapshot("s2", state={"selectools": {}}, items=[message("Hello")], user_id=user)
    store.insert_one("p_customers", {"id": user, "name": "Ada Lovelace"})
    session = {"id": "ps", "customer_id": user, "title": "A refund"}
    store.insert_one("p_sessions", session | {"creation_utc": "2026-01-01T00:00:00+00:00"})
    event = {"id": "pe", "session_id": "ps", "kind": "message", "data": {"message": "x" * 500}}
    store.insert_one("p_events", event)
    store.insert_one("p_variables", {"id": "v", "name": "plan"})
    store.insert_one("p_values", {"id": "x", "variable_id": "v", "key": user, "data": "premium"})
    store.insert_one("p_values", {"id": "y", "variable_id": "v", "key": "other", "data": "basic"})


# The page of a person


def test_a_person_has_all_that_the_local_stores_have(client, remote):
    fill(stores["default"])
    stores["default"].add_items("other", [message("x")], user_id="eve")
    html = get(client, person())
    assert "<h1>Ada Lovelace</h1>" in html
    rows = section(html, "conversations")
    assert sorted(row[:4] for row in rows) == [
        ["A refund ps", "Parlant", "default", "1 message"],
        ["Hello s2", "selectools", "default", "1 item"],
        ["Where is it? s1", "OpenAI Agents", "default", "2 items"],
    ]
    assert f'href="{page(Session.objects.get(session_id="s1"))}"' in html
    assert f'href="{page(Document.objects.get(document_id="ps"))}"' in html
    assert section(html, "documents") == [["p_sessions", "default", "1"]]
    documents = listing("document", collection="p_sessions", customer_id="ada")
    assert f'href="{documents.replace("&", "&amp;")}"' in html
    assert section(html, "variables") == [["plan", "premium", "default"]]
    assert re.search(r"stores about [\d.]+\s(?:bytes|KB) of this person", html)
    assert f'href="{listing("session", owner="ada")}"' in html


def test_a_person_has_all_that_remote_stores_have(client, remote):
    fill(remote)
    html = get(client, person())
    assert "<h1>Ada Lovelace</h1>" in html
    rows = section(html, "conversations")
    assert sorted(row[0] for row in rows) == ["A refund ps", "s1", "s1", "s2", "s2"]
    assert {row[2] for row in rows} == {"remote", "sessions"}
    assert section(html, "documents") == [["p_sessions", "remote", "1"]]
    assert section(html, "variables") == [["plan", "premium", "remote"]]
    for address in re.findall(r'<th scope="row"><a href="([^"]*)"', html):
        get(client, address.replace("&amp;", "&"))


def test_a_person_of_whom_nothing_is_stored(client, remote):
    html = get(client, person("nobody"))
    assert "No store has a conversation of this person." in html
    assert "No collection has documents of this person." in html


@pytest.mark.parametrize("name", [*NASTY, "٣", "%", "'; --"], ids=ascii)
def test_a_person_of_any_id_is_shown_found_and_erased(client, remote, name):
    for store in (stores["default"], remote):
        fill(store, name)
    html = get(client, person(name))
    assert SCRIPT not in html
    assert len(section(html, "conversations")) == 8
    assert len(section(html, "variables")) == 2
    if codec.printable(name) == name and len(name) < 500:
        assert len(people(client, q=name)) == 1
    act(client, "erase", name)
    assert "No store has a conversation" in get(client, person(name))
    assert Document.objects.filter(collection="p_values").count() == 1


def test_a_store_that_fails_does_not_hide_the_others(client, remote, settings):
    settings.PARLANT_STORES |= {
        SCRIPT: {"BACKEND": "nowhere.Backend"},
        "down": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": "http://127.0.0.1:9", "key": "very-secret", "timeout": 0.3},
        },
    }
    fill(stores["default"])
    html = get(client, person())
    assert len(section(html, "conversations")) == 3
    assert "The store down could not answer:" in html
    assert "nowhere.Backend" in html
    assert "very-secret" not in html
    assert SCRIPT not in html


def test_conversations_are_listed_newest_first(client, remote):
    for number in range(3):
        for store in (stores["default"], remote):
            store.add_items(f"{store.alias}-{number}", [message("x")], user_id="ada")
        at = timezone.now() - timedelta(days=number)
        Session.objects.filter(session_id=f"default-{number}").update(updated_at=at)
    rows = [row for row in section(get(client, person()), "conversations") if row[2] == "default"]
    assert [row[0] for row in rows] == [f"x default-{number}" for number in range(3)]


def test_expired_conversations_are_shown_as_such(client, remote):
    stores["default"].add_items("s", [message("x")], user_id="ada")
    Session.objects.update(expires_at=timezone.now() - timedelta(hours=2))
    assert "expired 2" in section(get(client, person()), "conversations")[0][5]


def test_a_page_of_a_person_costs_the_same_statements_for_many_rows(client, remote):
    def statements():
        get(client, person())
        with CaptureQueriesContext(connection) as context:
            get(client, person())
        return len(context)

    store = stores["default"]
    fill(store)
    few = statements()
    for number in range(120):
        store.add_items(f"many{number}", [message("x")] * 3, user_id="ada")
        data = {"id": f"d{number}", "customer_id": "ada"}
        store.insert_one(f"c{number % 20}", data)
        store.insert_one("p_sessions", data)
    assert statements() == few <= 15
    html = get(client, person())
    assert len(section(html, "conversations")) == 100
    assert "The store default has more conversations" in html


@pytest.mark.parametrize("user", ["", "a\0b", "x" * 5_000])
def test_an_id_that_no_store_takes_has_no_page(client, remote, user):
    assert client.get(person(user)).status_code == 404


@pytest.mark.any_database
def test_people_are_for_those_who_may_view_sessions_or_documents(remote):
    fill(stores["default"])
    for permissions in ((), ("view_sessionitem",), ERASE):
        other = allowed(*permissions)
        assert other.get(person()).status_code == 403
        assert other.get(reverse("admin:parlant_store_session_people")).status_code == 403
    html = get(allowed("view_session"), person())
    assert [row[1] for row in section(html, "conversations")] == ["selectools", "OpenAI Agents"]
    assert "premium" not in html
    assert "Ada Lovelace" not in html
    assert "Where is it?" not in html
    html = get(allowed("view_session", "view_sessionitem"), person())
    assert "Where is it?" in html
    other = allowed("view_document")
    html = get(other, person())
    assert [row[1] for row in section(html, "conversations")] == ["Parlant"]
    assert people(other, q="a") == {"ada": "Ada Lovelace"}
    assert people(allowed("view_session"), q="a") == {"ada": "-"}


# Finding people


def test_people_are_found_by_a_part_of_their_id_or_name(client, remote):
    store = stores["default"]
    for user in ("ada-1", "ada-2", "lisa", "Kadal"):
        store.add_items(user, [message("x")], user_id=user)
    store.add_items("nobody's", [message("x")])
    store.insert_one("p_customers", {"id": "c1", "name": "Ada Lovelace"})
    store.insert_one("p_customers", {"id": "c2", "name": "Grace"})
    store.insert_one("p_customers", {"id": "lisa", "name": "Lisa"})
    store.insert_one("p_customers", {"id": "c3", "name": "Özge"})
    assert people(client, q="Özg") == {"c3": "Özge"}
    everybody = people(client)
    assert everybody["lisa"] == "Lisa"
    assert len(everybody) == 7
    assert set(people(client, q="ADA")) == {"ada-1", "ada-2", "Kadal", "c1"}
    assert people(client, q="love") == {"c1": "Ada Lovelace"}
    assert people(client, q="lisa") == {"lisa": "Lisa"}
    assert people(client, q="nothing") == {}
    for query in ("%", "_", "\0", "'", "x" * 10_000, "\ud800"[:0], SCRIPT):
        assert people(client, q=query) in ({}, everybody)


def test_one_that_is_not_here_is_asked_for_in_all_stores(client, remote):
    remote.add_items("s", [message("x")], user_id="far away")
    html = get(client, reverse("admin:parlant_store_session_people", query={"q": "far away"}))
    assert "Nobody was found in the local database." in html
    (address,) = re.findall(r'<a href="([^"]*)">Ask all stores for far away</a>', html)
    assert len(section(get(client, address), "conversations")) == 2


def test_without_anybody_the_list_says_who_will_be_in_it(client, remote):
    html = get(client, reverse("admin:parlant_store_session_people"))
    assert "There is nobody yet." in html


def test_parts_are_searched_in_the_newest_and_beginnings_in_all(client, remote):
    bulk(people_page.NEWEST + 1)
    address = reverse("admin:parlant_store_session_people", query={"q": "0"})
    html = get(client, address)
    assert "in the newest 1,000 sessions and customers" in html
    assert "u0" not in people(client, q="0")
    assert "u1000" in people(client, q="0")
    assert people(client, q="u0") == {"u0": "-"}
    assert len(people(client)) == people_page.MAX_PERSONS


# Export and erasure


def act(client, action, user="ada", confirmed="yes", **data):
    data = {"action": action, "confirmed": confirmed, "store": list(stores)} | data
    return client.post(person(user), data)


def download(client, html):
    """The receipts of the page, downloaded by its forms."""
    found = re.findall(r'action="([^"]*/receipt/)">.*?name="receipt" value="([^"]*)"', html, re.S)
    for address, receipt in found:
        response = client.post(address, {"receipt": receipt})
        assert response["Content-Disposition"].startswith('attachment; filename="receipt-')
        yield json.loads(b"".join(response.streaming_content))


def test_all_data_are_erased_after_a_confirmation_with_a_receipt_of_each_store(client, remote):
    for store in (stores["default"], remote):
        fill(store)
        store.add_items("other", [message("x")], user_id="eve")
    html = act(client, "erase", confirmed="").content.decode()
    assert "They cannot be restored." in html
    assert re.findall(r'name="store" value="(\w+)" checked', html) == [*stores]
    assert Session.objects.count() == 3
    assert log() == []
    html = act(client, "erase").content.decode()
    found = {receipt["stores"][0]["store"]: receipt for receipt in download(client, html)}
    assert list(found) == ["default", "remote", "sessions"]
    for alias in ("default", "remote"):
        (counts,) = found[alias]["stores"]
        assert (counts["sessions"], counts["items"], counts["documents"]) == (2, 3, 4)
        assert counts["left"] == 0
        assert {"namespace": "", "session_id": "s1"} in counts["found"]
        assert found[alias]["user"] == "ada"
    assert found["sessions"]["stores"][0]["sessions"] == 0
    assert Session.objects.get().session_id == "other"
    assert [one.session_id for one in remote.list_sessions().sessions] == ["other"]
    assert "No store has a conversation" in get(client, person())
    assert [(flag, name) for flag, name, _text in log()] == [(DELETION, "ada")] * 3
    assert log()[-1][2] == "Store default: Erased: 2 sessions, 4 documents."


def test_only_the_chosen_stores_are_erased(client, remote):
    for store in (stores["default"], remote):
        fill(store)
    html = act(client, "erase", store=["remote", "none"]).content.decode()
    assert len(list(download(client, html))) == 1
    assert Session.objects.count() == 2
    assert remote.list_sessions().sessions == ()
    response = client.post(person(), {"action": "erase", "confirmed": "yes"}, follow=True)
    assert messages_of(response) == ["No store was selected."]
    assert Session.objects.count() == 2


def test_a_store_that_fails_is_named_and_the_others_are_erased(client, remote, settings):
    settings.PARLANT_STORES |= {
        "down": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": "http://127.0.0.1:9", "key": "very-secret", "timeout": 0.3},
        },
        "wrong": {"BACKEND": "nowhere.Backend"},
    }
    fill(stores["default"])
    html = act(client, "erase").content.decode()
    found = {receipt["stores"][0]["store"]: receipt for receipt in download(client, html)}
    assert "error" in found["down"]["stores"][0]
    assert "nowhere.Backend" in found["wrong"]["stores"][0]["error"]
    assert found["default"]["stores"][0]["left"] == 0
    assert html.count("The store failed:") == 2
    assert "very-secret" not in html
    assert Session.objects.count() == 0


def test_an_erasure_ends_after_a_time_and_can_be_repeated(client, remote, monkeypatch):
    fill(stores["default"])
    with monkeypatch.context() as patched:
        patched.setattr(person_page, "MAX_SECONDS", -1.0)
        html = act(client, "erase").content.decode()
    assert "Erase the data again to delete the rest." in html
    assert Session.objects.count() == 2
    act(client, "erase")
    assert Session.objects.count() == 0


def test_all_data_are_exported_with_a_receipt(client, remote):
    for store in (stores["default"], remote):
        fill(store)
    html = act(client, "export", confirmed="").content.decode()
    assert "will be written to a file" in html
    response = act(client, "export", store=["default", "remote"])
    assert response["Content-Disposition"].startswith('attachment; filename="person-')
    lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
    assert len(lines) == 13
    assert lines[0]["items"] == [message("Where is it?"), message("Shipped.", "assistant")]
    assert [counts["complete"] for counts in lines[-1]["stores"]] == [True, True]
    assert [(counts["sessions"], counts["documents"]) for counts in lines[-1]["stores"]] == [
        (2, 4),
        (2, 4),
    ]
    assert [entry[0] for entry in log()] == [CHANGE] * 2


def test_an_export_that_lacks_a_store_says_so(client, remote, settings):
    settings.PARLANT_STORES |= {"wrong": {"BACKEND": "nowhere.Backend"}}
    fill(stores["default"])
    response = act(client, "export", store=["default", "wrong"])
    receipt = json.loads(b"".join(response.streaming_content).splitlines()[-1])
    assert [counts["complete"] for counts in receipt["stores"]] == [True, False]
    (text,) = messages_of(client.get(person()))
    assert text.startswith("The export is not complete: the store wrong failed:")


@pytest.mark.any_database
@pytest.mark.parametrize(("action", "needed"), [("erase", ERASE), ("export", EXPORT)])
def test_each_action_needs_its_permissions_on_all_that_is_stored(remote, action, needed):
    fill(stores["default"])
    lacking = [[name for name in needed if name != other] for other in needed]
    for permissions in (VIEW, *((*VIEW, *names) for names in lacking)):
        other = allowed(*permissions)
        assert f'value="{action}"' not in get(other, person())
        for confirmed in ("", "yes"):
            assert act(other, action, confirmed=confirmed).status_code == 403
    assert act(allowed(*needed), action).status_code == 403
    assert Session.objects.count() == 2
    assert log() == []
    other = allowed(*VIEW, *needed)
    assert f'value="{action}"' in get(other, person())
    response = act(other, action)
    assert response.status_code == 200
    response.close()


def test_only_a_receipt_of_this_admin_is_given_back(client, remote):
    address = reverse("admin:parlant_store_session_person_receipt")
    assert client.post(address, {"receipt": "made up"}).status_code == 400
    assert client.post(address).status_code == 400
    assert client.get(address).status_code == 405
    assert allowed(*VIEW, *EXPORT).post(address).status_code == 403


def test_an_action_that_there_is_not_is_refused(client, remote):
    assert act(client, "nothing").status_code == 400
    assert client.post(person(), {}).status_code == 400


@pytest.mark.any_database
def test_the_pages_need_no_script_or_style_of_their_own(client, remote):
    fill(stores["default"])
    pages = [get(client, person()), get(client, reverse("admin:parlant_store_session_people"))]
    pages += [act(client, "erase", confirmed="").content.decode()]
    pages += [act(client, "erase").content.decode()]
    for html in pages:
        content = html[html.index('id="content-main"') : html.index('<footer id="footer">')]
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", content)
        ids = re.findall(r'\sid="([^"]*)"', html)
        assert len(ids) == len(set(ids))
