def test_items_come_back(store):
    store.add_items("s", [{"a": 1}])
    assert store.get_items("s") == [{"a": 1}]
