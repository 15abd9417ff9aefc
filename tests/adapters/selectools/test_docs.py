"""docs/selectools.md is followed here; the other pages are in tests/docs."""

import ast
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[3] / "docs" / "selectools.md"


def test_the_page(store):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    source = "\n".join(blocks)
    names: dict[str, Any] = {}
    exec(source, names)
    results = [line.partition("  # ") for line in source.splitlines() if "  # " in line]
    assert len(results) == 3
    for code, _, shown in results:
        assert eval(code, names) == ast.literal_eval(shown)
