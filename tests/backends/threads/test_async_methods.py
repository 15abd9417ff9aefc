"""Each method of the contract has an asynchronous variant."""

import inspect
from collections.abc import Iterator
from typing import get_origin

import pytest
from asgiref.sync import iscoroutinefunction

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.expiry import ExpiryMethods
from parlant_store.backends.contract.records import RecordMethods
from tests.contract import async_methods

FOR_BACKENDS = {
    "after_call",
    "begin",
    "caller_state",
    "check",
    "check_databases",
    "default_idle_seconds",
    "explain_timeout",
    "group_of",
    "has_connection",
    "has_own_tenant",
    "interrupt",
    "is_on_callers_thread",
    "make_call",
    "prepare_call",
    "release_thread",
    "submit",
    "submit_for",
    "thread_count",
    "uses_coroutines_connection",
}
"""What a backend overrides, or what runs calls: no operations on stored data."""


def public(owner: type) -> dict[str, object]:
    functions = inspect.getmembers(owner, inspect.isfunction)
    return {name: function for name, function in functions if not name.startswith("_")}


def is_variant(name: str) -> bool:
    return name[0] == "a" and hasattr(BaseBackend, name[1:])


METHODS = sorted(
    name for name in public(BaseBackend) if name not in FOR_BACKENDS and not is_variant(name)
)


def test_only_hooks_of_backends_are_left_out():
    operations = {*public(RecordMethods), *public(ExpiryMethods)}
    assert not operations & FOR_BACKENDS
    assert public(BaseBackend).keys() >= FOR_BACKENDS


@pytest.mark.parametrize("name", METHODS)
def test_method_has_a_variant(name):
    method, variant = getattr(BaseBackend, name), getattr(BaseBackend, f"a{name}", None)
    assert variant is not None, (
        f"write a{name} = as_async({name}) below {name}, or as_async_iterator if it returns an "
        "iterator; a method that only backends use belongs to FOR_BACKENDS"
    )
    assert variant.__name__ == f"a{name}"
    assert variant.__qualname__ == method.__qualname__.replace(f".{name}", f".a{name}")
    of_method, of_variant = inspect.signature(method), inspect.signature(variant)
    assert of_variant.parameters == of_method.parameters
    doc = inspect.getdoc(variant)
    if is_iterator(of_method):
        assert inspect.isasyncgenfunction(variant), f"use as_async_iterator for a{name}"
        assert doc == f"{inspect.getdoc(method)}\n\n" + (
            "This variant returns an asynchronous iterator, for ``async for``."
        )
    else:
        assert iscoroutinefunction(variant)
        assert doc == inspect.getdoc(method)


def is_iterator(signature: inspect.Signature) -> bool:
    kind = get_origin(signature.return_annotation)
    return isinstance(kind, type) and issubclass(kind, Iterator)


@pytest.mark.parametrize("name", METHODS)
def test_variant_is_called_on_every_backend(name):
    source = inspect.getsource(async_methods)
    assert f".a{name}(" in source, f"call a{name} in tests/contract/async_methods.py"
