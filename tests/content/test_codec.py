"""What is kept in columns: reversible, distinct, in order, and short enough for an index."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from parlant_store.content import codec

text = st.text(st.characters(codec=None))


@given(text)
@example("\0\x01\ud7ff\ud800\udfff")
def test_escapes_are_reversible(value):
    escaped = codec.escape(value)
    assert "\0" not in escaped
    escaped.encode()
    assert codec.unescape(escaped) == value


@given(text, text)
@example("\0", "")
@example("\0", "\x01")
@example("\ud7ff\x02", "\ud800")
@example("\udfff", "\ue000")
def test_escapes_keep_the_order_of_code_points(one, other):
    assert (codec.escape(one) < codec.escape(other)) == (one < other)


@given(st.text(st.characters(codec=None), min_size=100, max_size=600), text)
@example("x" * 446 + "\x01" * 600, "")
def test_columns_are_short_and_distinct(one, other):
    column = codec.to_column(one)
    assert len(column.encode()) <= codec.MAX_COLUMN_BYTES
    assert (column == codec.to_column(one + other)) == (other == "")


def test_large_floats_keep_their_point():
    document = {"a": 1e23, "b": [-1.5e300, 1e-7, 1e16], "c": '1e23 " 1e5', "1e9": 1e22}
    text = codec.encode_document(document, "document")
    assert "e+" not in text.replace('"1e23 \\" 1e5"', "")
    assert codec.decode_document(text) == document
    assert all(type(value) is float for value in codec.decode_document(text)["b"])


@given(st.dictionaries(text, st.floats(allow_nan=False, allow_infinity=False) | text, max_size=4))
@example({"a": -0.0, "b": "-0.0 0.00", "-0.0": 0.0, "c": -0.05, "d": -1e-300, "e": 0.001})
def test_documents_come_back(document):
    encoded = codec.encode_document(document, "document")
    assert repr(codec.decode_document(encoded)) == repr(document)


def test_readable_text_stays_readable():
    assert codec.encode({"a": "é漢😀"}, "item") == '{"a":"é漢😀"}'
    assert json.loads(codec.encode({"a": "é\ud800"}, "item")) == {"a": "é\ud800"}
