"""What another process does with the tests' database.

python -m tests.backends.orm.worker DATABASE_URL add NAME    20 tasks, each adding 5 batches of 3
python -m tests.backends.orm.worker DATABASE_URL pop         20 tasks, popping until none is left
python -m tests.backends.orm.worker DATABASE_URL batch SIZE  says "go" and adds one batch
"""

import asyncio
import json
import sys
from typing import Any

import parlant_store
from parlant_store.adapters.async_calls import run

TASKS = 20


async def add(name: str) -> None:
    store = parlant_store.store

    async def work(task: int) -> None:
        for batch in range(5):
            items = [{"p": name, "t": task, "b": batch, "n": number} for number in range(3)]
            await run(store, store.add_items, "s", items)

    await asyncio.gather(*map(work, range(TASKS)))


async def pop() -> None:
    store = parlant_store.store

    async def work() -> list[Any]:
        popped = []
        while (item := await run(store, store.pop_item, "s")) is not None:
            popped.append(item["n"])
        return popped

    found = await asyncio.gather(*(work() for _ in range(TASKS)))
    print(json.dumps([number for popped in found for number in popped]))  # noqa: T201


def batch(size: int) -> None:
    print("go", flush=True)  # noqa: T201
    parlant_store.store.add_items("s", [{"n": number} for number in range(size)])


def main(url: str, command: str, *args: str) -> None:
    parlant_store.setup(database_url=url)
    if command == "add":
        asyncio.run(add(*args))
    elif command == "pop":
        asyncio.run(pop())
    else:
        batch(int(args[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
