"""What an attacker has an agent keep."""

from typing import Any

from tests.admin.pages import message

MEGABYTE = 1_000_000
SET = "window.hacked=1"
MARKUP = [
    f"<script>{SET}</script>",
    f"<img src=x onerror={SET}><svg onload={SET}>",
    f'"><script>{SET}</script>',
    f"</p></pre></details></article></main><h1>Owned</h1><script>{SET}</script>",
    f"[click](javascript:{SET}) **bold** ![](http://evil.example/x.png) <http://evil.example>",
    f"{{{{ {SET} }}}} {{% now 'Y' %}} &lt;script&gt;{SET}&lt;/script&gt;",
    "<style>*{display:none}</style><meta http-equiv=refresh content=0;url=http://evil.example>",
    "<base href=http://evil.example/><link rel=stylesheet href=http://evil.example/a.css>",
    f"<iframe srcdoc='<script>parent.hacked=1</script>'></iframe><a href=javascript:{SET}>x</a>",
]
HEBREW = "שלום עולם, איפה ההזמנה שלי?"
ARABIC = "مرحبا \u202eabc\u202c \u2067def\u2069 أين طلبي"
UNCLOSED = "\u202e\u2066 never closed \u202b"
CONTROLS = "a\0b\x1b[31mred\x07\u2028\ud800"
WORD = "W" * 10_000

TEXTS = [*MARKUP, HEBREW, ARABIC, UNCLOSED, CONTROLS, WORD, "long " * (MEGABYTE // 5)]
NAME = f"<b>{SET}</b>\u202e<script>{SET}</script>" + "n" * 200


def items() -> list[dict[str, Any]]:
    """Each text as a message of everybody, as the name, arguments and output of a tool."""
    return [
        *(message(text, role=role) for text in TEXTS for role in ("user", "assistant")),
        message([{"type": "input_text", "text": text} for text in MARKUP]),
        message([{"type": "input_image", "image_url": "http://evil.example/x.png"}]),
        message([{"type": "input_image", "image_url": f"javascript:{SET}"}]),
        *(part for number, text in enumerate(TEXTS) for part in _called(number, text)),
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text} for text in TEXTS],
        },
        message("x", role=MARKUP[0]),
        {MARKUP[0]: MARKUP[1], "type": MARKUP[2]},
    ]


def _called(number: int, text: str) -> list[dict[str, Any]]:
    call = {"type": "function_call", "call_id": f"c{number}", "name": text, "arguments": text}
    return [call, {"type": "function_call_output", "call_id": f"c{number}", "output": text}]
