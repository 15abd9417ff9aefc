"""Writes with a request id in Redis: how long the answers are stored."""

from tests.contract.values import numbered


def test_answers_are_stored_for_an_hour_and_those_of_other_writes_are_few(store, own_keys):
    store.add_items("s", numbered(1, 2, 3), user_id="ada")
    store.set_metadata("s", {"k": 1})
    store.pop_item("s", request_id="an id")
    for number in range(50):
        store.add_items("s", numbered(number))
    requests = {key: ttl for key, ttl in own_keys().items() if b":request:" in key}
    assert len(requests) == 2
    low, high = sorted(requests.values())
    assert 60_000 < low <= 120_000
    assert 3_500_000 < high <= 3_600_000
