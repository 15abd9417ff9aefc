"""What another process does with the tests' database.

python -m tests.backends.orm.worker DATABASE_URL add NAME    20 tasks, each adding 5 batches of 3
python -m tests.backends.orm.worker DATABASE_URL pop         20 tasks, popping until none is left
python -m tests.backends.orm.worker DATABASE_URL batch SIZE  says "go" and adds one batch
"""

import asyncio
import json
import sys

import parlant_store
from tests.contract import processes


def batch(size: int) -> None:
    print("go", flush=True)  # noqa: T201
    parlant_store.store.add_items("s", [{"n": number} for number in range(size)])


def main(url: str, command: str, *args: str) -> None:
    parlant_store.setup(database_url=url)
    if command == "add":
        asyncio.run(processes.add(parlant_store.store, *args))
    elif command == "pop":
        print(json.dumps(asyncio.run(processes.pop(parlant_store.store))))  # noqa: T201
    else:
        batch(int(args[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
