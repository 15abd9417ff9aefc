"""A graph in another process.

python -m tests.adapters.langgraph.worker DATABASE_URL DURABILITY PARLANT_STORES
"""

import json
import sys

import parlant_store
from tests.adapters.langgraph.graphs import thread

if __name__ == "__main__":
    parlant_store.setup(database_url=sys.argv[1], stores=json.loads(sys.argv[3]))
    from tests.adapters.langgraph.graphs import counting

    counting().invoke({"steps": []}, thread() | {"recursion_limit": 1_000}, durability=sys.argv[2])
