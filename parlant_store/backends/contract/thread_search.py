"""The contract of stores: the search of threads by the words of their messages."""

from parlant_store.backends.contract.checkpoints import CheckpointMethods
from parlant_store.backends.contract.listings import search_of
from parlant_store.backends.contract.operations import Search
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.types import ThreadHit


class ThreadSearchMethods(CheckpointMethods):
    """Finds threads by the messages of their latest states."""

    def search_threads(
        self,
        query: str,
        *,
        namespace: str | None = None,
        limit: int = 10,
        tools: bool = False,
    ) -> list[ThreadHit]:
        """Return threads with messages of users or assistants that match, best match first.

        ``query`` and ``tools`` are those of ``search``. Messages are those of the channel
        "messages" of the graph, not of its subgraphs; those that were removed do not match. What
        is encrypted has no words.
        """
        self._checkpoints_supported()
        search = search_of(query, namespace, limit, tools=tools)
        return [] if search is None else self._search_threads(search)

    asearch_threads = as_async(search_threads)

    def _search_threads(self, search: Search) -> list[ThreadHit]:
        raise NotImplementedError
