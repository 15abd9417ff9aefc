"""Views of a project whose agents keep their sessions in the store."""

from typing import Any

from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.http import HttpRequest, JsonResponse

from parlant_store import stores
from parlant_store.exceptions import StoreError

QUESTION = {"role": "user", "content": "hello"}
ANSWER = {"role": "assistant", "content": "good day"}


async def run_agent(session_id: str, store: str) -> list[Any]:
    from parlant_store.adapters.openai_agents import Session

    session = Session(session_id, store=store)
    await session.add_items([QUESTION])  # type: ignore[list-item]
    await session.add_items([ANSWER])  # type: ignore[list-item]
    return list(await Session(session_id, store=store).get_items())


def turn(request: HttpRequest) -> JsonResponse:
    """An agent's turn; with ``opening``, the view writes to the session first."""
    session_id, alias = request.GET["session"], request.GET.get("store", "default")
    try:
        if "opening" in request.GET:
            stores[alias].add_items(session_id, [{"role": "system", "content": "be kind"}])
        return JsonResponse({"items": async_to_sync(run_agent)(session_id, alias)})
    except StoreError as exc:
        return JsonResponse({"error": type(exc).__name__, "message": str(exc)}, status=503)


async def async_turn(request: HttpRequest) -> JsonResponse:
    try:
        items = await run_agent(request.GET["session"], request.GET.get("store", "default"))
        return JsonResponse({"items": items})
    except StoreError as exc:
        return JsonResponse({"error": type(exc).__name__, "message": str(exc)}, status=503)


async def async_store(request: HttpRequest) -> JsonResponse:
    """The store's own asynchronous methods."""
    store, session_id = stores["default"], request.GET["session"]
    for item in (QUESTION, ANSWER):
        await store.aadd_items(session_id, [item])
    listed = [one.session_id async for one in store.alist_summaries(prefix=session_id)]
    return JsonResponse({"items": await store.aget_items(session_id), "listed": listed})


# Django takes no async view into ATOMIC_REQUESTS.
for _alias in connections:
    async_turn = transaction.non_atomic_requests(using=_alias)(async_turn)
    async_store = transaction.non_atomic_requests(using=_alias)(async_store)
