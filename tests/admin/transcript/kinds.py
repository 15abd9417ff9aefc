"""Items of every kind, what a transcript says of them, and what is to be noticed."""

from tests.admin.pages import IMAGE, message


def call(name, arguments="{}", id_="c1", **fields):
    return {
        "type": "function_call",
        "call_id": id_,
        "name": name,
        "arguments": arguments,
        **fields,
    }


def output(value, id_="c1", **fields):
    return {"type": "function_call_output", "call_id": id_, "output": value, **fields}


def hosted(kind, status="completed", **fields):
    return {"type": f"{kind}_call", "id": f"{kind}-1", "status": status, **fields}


def local(kind, id_="c1", **fields):
    return {"type": f"{kind}_call", "call_id": id_, "id": f"{kind}-1", **fields}


def local_output(kind, value, id_="c1", **fields):
    return {"type": f"{kind}_call_output", "call_id": id_, "output": value, **fields}


def answer(*content, **fields):
    return message([*content], "assistant", type="message", **fields)


def text(words, **fields):
    return {"type": "output_text", "text": words, **fields}


DONE = answer(text("That is all."))
ASKED = {
    "type": "mcp_approval_request",
    "id": "r1",
    "server_label": "bakery",
    "name": "order_flour",
}
ERROR = "An error occurred while running the tool. Please try again."

KINDS = {
    "sources of an answer": (
        [
            answer(
                text(
                    "Rye keeps longer.",
                    annotations=[
                        {
                            "type": "url_citation",
                            "title": "Keeping bread",
                            "url": "https://bread.example/keep",
                        },
                        {"type": "file_citation", "file_id": "f-1", "filename": "rye.pdf"},
                        {"type": "file_path", "file_id": "f-2"},
                    ],
                )
            )
        ],
        "Rye keeps longer[.] Sources Keeping bread, https://bread.example/keep rye.pdf f-2",
        [],
    ),
    "an answer that broke off": (
        [answer(text("The oven"), status="incomplete")],
        "Assistant Incomplete .*The oven",
        ["1 incomplete"],
    ),
    "a refusal": (
        [answer({"type": "refusal", "refusal": "I do not forge labels."})],
        "Assistant Refused .*Refused I do not forge labels[.]",
        ["1 refused"],
    ),
    "a refusal of chat completions": (
        [message(None, "assistant", refusal="Not that.")],
        "Assistant Refused .*Refused Not that[.]",
        ["1 refused"],
    ),
    "a speaker's name": ([message("Two loaves", name="till-3"), DONE], "^User till-3 ", []),
    "a spoken message": (
        [
            message([{"type": "input_audio", "audio": "AAAA", "transcript": "Is it open?"}]),
            message(None, "assistant", audio={"id": "sound_7"}),
        ],
        "Audio, 3 bytes Transcript Is it open[?].*Audio, sound_7",
        [],
    ),
    "files by address and by id": (
        [
            message(
                [
                    {"type": "input_file", "file_url": "https://files.example/a.pdf"},
                    {"type": "input_file", "file_id": "file-8"},
                    {
                        "type": "input_file",
                        "filename": "b.pdf",
                        "file_data": "data:application/pdf;base64,AAAA",
                    },
                ]
            ),
            DONE,
        ],
        "File, https://files.example/a.pdf File, file-8 File, b.pdf, application/pdf, 3 bytes",
        [],
    ),
    "a tool of a namespace called by a program": (
        [
            {"type": "program", "id": "p1", "call_id": "p", "code": "count('rye')"},
            call("count", namespace="shelf", caller={"type": "program", "caller_id": "p"}),
            output("9", caller={"type": "program", "caller_id": "p"}),
            {"type": "program_output", "call_id": "p", "result": "18"},
            DONE,
        ],
        r"Program .*count\('rye'\) Tool output .*18 .*shelf.count .*Called by a program[.].*9",
        [],
    ),
    "a tool that raised": (
        [call("weigh"), output(ERROR), DONE],
        "weigh .*Failed .*An error occurred",
        ["1 failed"],
    ),
    "a tool that took too long": (
        [call("weigh"), output("Tool 'weigh' timed out after 3 seconds."), DONE],
        "Failed .*timed out",
        ["1 failed"],
    ),
    "a call that was not approved": (
        [call("sell"), output("Tool execution was not approved."), DONE],
        "sell .*Rejected .*not approved",
        ["1 rejected"],
    ),
    "an error in JSON": (
        [call("find"), output('{"error": "no such loaf"}'), DONE],
        "Failed .*no such loaf",
        ["1 failed"],
    ),
    "an output that speaks of errors": (
        [call("find"), output('{"error": null, "text": "Error 7: door open"}'), DONE],
        "Error 7",
        [],
    ),
    "a bare text of a tool": ([call("find"), output("The oven has failed."), DONE], "failed", []),
    "an output of parts": (
        [
            call("label"),
            output(
                [
                    {"type": "input_text", "text": "Printed"},
                    {"type": "input_image", "file_id": "img-2"},
                ]
            ),
            DONE,
        ],
        "Tool output .*Printed Image, img-2",
        [],
    ),
    "a call that waits": (
        [message("Sell it."), call("sell")],
        "sell .*Waiting .*No output yet",
        ["1 waiting"],
    ),
    "a call that nobody answered": (
        [call("sell"), message("Forget it."), DONE],
        "sell .*Unanswered .*No output[.]",
        ["1 unanswered"],
    ),
    "a question that nobody answered": (
        [DONE, message("And now?")],
        "User Unanswered .*And now[?]",
        ["1 unanswered"],
    ),
    "a question whose answer was withheld": (
        [message("What do they pay?"), call("price"), output("12")],
        "User Unanswered .*pay",
        ["1 unanswered"],
    ),
    "a web search": (
        [
            hosted(
                "web_search",
                action={
                    "type": "search",
                    "query": "flour price",
                    "queries": ["flour price", "wheat"],
                    "sources": [{"url": "https://grain.example"}],
                },
            ),
            hosted(
                "web_search",
                action={"type": "find_in_page", "url": "https://grain.example", "pattern": "spelt"},
            ),
            hosted("web_search", "failed", action={"type": "search", "query": "mills"}),
        ],
        "Web search .*Query flour price wheat Found https://grain.example .*"
        "Words looked for spelt Page https://grain.example .*Failed Query mills",
        ["1 failed"],
    ),
    "a search in files": (
        [
            hosted(
                "file_search",
                queries=["gluten"],
                results=[{"filename": "allergens.md", "text": "Spelt has gluten."}],
            ),
            hosted("file_search", queries=["nuts"], results=None),
        ],
        "File search .*Query gluten allergens.md Spelt has gluten[.] .*"
        "Query nuts What it found was not kept[.]",
        [],
    ),
    "actions on a screen": (
        [
            local(
                "computer",
                pending_safety_checks=[{"id": "s", "code": "odd", "message": "It begs."}],
                actions=[
                    {"type": "click", "button": "left", "x": 7, "y": 9},
                    {"type": "type", "text": "six rolls"},
                    {"type": "keypress", "keys": ["CTRL", "S"]},
                    {"type": "scroll", "x": 1, "y": 2, "scroll_x": 0, "scroll_y": 30},
                    {"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]},
                    {"type": "double_click", "x": 5, "y": 6},
                    {"type": "move", "x": 5, "y": 6},
                    {"type": "wait"},
                    {"type": "screenshot"},
                    {"type": "wink"},
                ],
            ),
            local_output("computer", {"type": "computer_screenshot", "file_id": "shot-1"}),
        ],
        r"Computer .*Click \(left\) at 7, 9 Type: six rolls Press CTRL [+] S "
        r"Scroll at 1, 2 by 0, 30 Drag along 1, 2 → 3, 4 Double click at 5, 6 Move to 5, 6 Wait "
        r'Take a screenshot { "type": "wink" } Safety check It begs[.] .*Image, shot-1',
        [],
    ),
    "code": (
        [
            hosted(
                "code_interpreter",
                code="print(1)\nprint(2)",
                outputs=[
                    {"type": "logs", "logs": "1\n2"},
                    {"type": "image", "url": "https://plots.example/p.png"},
                ],
            ),
            hosted("code_interpreter", "failed", code="1/0", outputs=[]),
            hosted("code_interpreter", code=None, outputs=None),
        ],
        r"Code interpreter .*print\(1\) print\(2\) Tool output 1 2 "
        r"Image at https://plots.example/p.png .*Failed 1/0 .*The code was not kept[.]",
        ["1 failed"],
    ),
    "a shell": (
        [
            local("shell", action={"commands": ["df -h", "sleep 9", "cat x"]}),
            local_output(
                "shell",
                [
                    {"stdout": "half", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
                    {"stdout": "", "stderr": "", "outcome": {"type": "timeout"}},
                    {"stdout": "", "stderr": "no x", "outcome": {"type": "exit", "exit_code": 2}},
                ],
            ),
        ],
        r"Shell .*Failed [$] df -h [$] sleep 9 [$] cat x Tool output .*stdout half Exit code 0 "
        r"Timeout: .* stderr no x Exit code 2",
        ["1 failed"],
    ),
    "a shell whose command was not approved": (
        [
            local("shell", action={"commands": ["rm -r /"]}),
            local_output(
                "shell",
                [
                    {
                        "stderr": "Tool execution was not approved.",
                        "outcome": {"type": "exit", "exit_code": 1},
                    }
                ],
            ),
        ],
        "Rejected .*rm -r /",
        ["1 rejected"],
    ),
    "a local shell, named by the id of its item": (
        [
            local("local_shell", action={"command": ["ls", "my bread"], "working_directory": "w"}),
            {
                "type": "local_shell_call_output",
                "id": "local_shell-1",
                "output": '{"stdout": "", "stderr": "denied", "exit_code": 1}',
            },
        ],
        r"Shell .*Failed [$] ls 'my bread' Directory w .*stderr denied Exit code 1",
        ["1 failed"],
    ),
    "a patch": (
        [
            local(
                "apply_patch",
                operation={"type": "update_file", "path": "a.md", "diff": "-opne\n+open\n"},
            ),
            local_output("apply_patch", "Changed", status="completed"),
            local("apply_patch", "c2", operation={"type": "delete_file", "path": "b.md"}),
            local_output("apply_patch", "no b.md", "c2", status="failed"),
        ],
        r"Patch .*Change a.md -opne [+]open .*Changed .*Failed Delete b.md .*no b.md",
        ["1 failed"],
    ),
    "images that were made": (
        [
            hosted(
                "image_generation",
                result=IMAGE,
                revised_prompt="A loaf at dawn",
                size="512x512",
                output_format="png",
            ),
            hosted(
                "image_generation", "failed", error={"code": "blocked", "message": "No knives."}
            ),
            hosted("image_generation", "generating"),
        ],
        "Image generation .*Prompt A loaf at dawn Size 512x512 .*Image, image/png, 150.0.KB .*"
        "Failed .*Error blocked: No knives[.] .*Incomplete It was not completed[.]",
        ["1 failed", "1 incomplete"],
    ),
    "tools of an MCP server": (
        [
            {
                "type": "mcp_list_tools",
                "server_label": "mill",
                "tools": [{"name": "grind", "description": "Grinds"}, {"name": "sift"}],
            },
            {"type": "mcp_list_tools", "server_label": "farm", "tools": [], "error": "Gone."},
            hosted("mcp", server_label="mill", name="grind", arguments="{}", output="fine"),
            hosted(
                "mcp",
                "failed",
                server_label="mill",
                name="sift",
                arguments="{}",
                error={"type": "http_error", "code": 502, "message": "Bad gateway"},
            ),
        ],
        "Tools of an MCP server mill .*Tools grind: Grinds sift .*farm Failed .*Error Gone[.] .*"
        "mill.grind .*fine .*mill.sift .*Failed .*Error 502: Bad gateway",
        ["2 failed"],
    ),
    "approvals": (
        [
            ASKED | {"arguments": '{"kilos": 5}'},
            {"type": "mcp_approval_response", "approval_request_id": "r1", "approve": True},
            ASKED | {"id": "r2"},
            {
                "type": "mcp_approval_response",
                "approval_request_id": "r2",
                "approve": False,
                "reason": "Too dear.",
            },
            DONE,
            ASKED | {"id": "r3"},
        ],
        'Approval request bakery.order_flour .*"kilos": 5 .*Approved .*'
        "Approval request .*Rejected .*Reason Too dear[.] .*"
        "Waiting Waiting for a person to approve it[.]",
        ["1 rejected", "1 waiting"],
    ),
    "a custom tool": (
        [
            local("custom_tool", name="sql", input="SELECT 1"),
            local_output("custom_tool", "the table is locked"),
        ],
        "sql .*SELECT 1 .*the table is locked",
        [],
    ),
    "a search for tools": (
        [
            local("tool_search", arguments={"paths": ["mill"]}),
            {
                "type": "tool_search_output",
                "call_id": "c1",
                "tools": [{"type": "function", "name": "grind", "description": "Grinds"}],
            },
        ],
        "Tool search .*mill.*Tools grind: Grinds",
        [],
    ),
    "more tools": (
        [{"type": "additional_tools", "tools": [{"type": "function", "name": "knead"}]}],
        "More tools were given .*knead",
        [],
    ),
    "other settings": (
        [{"type": "configuration_update", "id": "s", "reasoning": {"effort": "low"}}],
        'Settings change .*"effort": "low"',
        [],
    ),
    "a compaction": (
        [
            {"type": "compaction", "id": "k", "encrypted_content": "gAAAAsecret"},
            {"type": "compaction_trigger"},
        ],
        "Earlier items were compacted here.*The provider was asked to compact",
        [],
    ),
    "references": (
        [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_2"}],
        "Item reference msg_1 .*Item reference msg_2 .*The provider keeps",
        [],
    ),
    "a handoff": (
        [call("transfer_to_till"), output('{"assistant": "Till"}'), DONE],
        "Handoff transfer_to_till .*Handed to Till[.]",
        [],
    ),
    "an unknown kind": (
        [{"type": "dance_call", "id": "d", "steps": 3}, {"type": "mood", "is": "calm"}],
        'dance_call .*"steps": 3 .*mood .*What it holds .*"is": "calm"',
        [],
    ),
    "calls of chat completions": (
        [
            message(
                None,
                "assistant",
                tool_calls=[
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}},
                    {"id": "b", "type": "custom", "custom": {"name": "grep", "input": "rye"}},
                ],
            ),
            message("one", "tool", tool_call_id="a"),
            message([{"type": "text", "text": "two"}], "tool", tool_call_id="b"),
            message(None, "assistant", function_call={"name": "old", "arguments": "{}"}),
            message("three", "function", name="old"),
            DONE,
        ],
        "Tool call f .*one .*Tool call grep .*rye .*two .*Tool call old .*three",
        [],
    ),
    "Anthropic's blocks": (
        [
            message(
                [
                    {"type": "thinking", "thinking": "Ask the mill."},
                    {"type": "text", "text": "Wait."},
                    {"type": "tool_use", "id": "u1", "name": "mill", "input": {"kilos": 2}},
                    {"type": "tool_use", "id": "u2", "name": "farm", "input": {}},
                ],
                "assistant",
            ),
            message(
                [
                    {"type": "tool_result", "tool_use_id": "u1", "content": "ground"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "u2",
                        "is_error": True,
                        "content": [{"type": "text", "text": "the gate is shut"}],
                    },
                ]
            ),
            DONE,
        ],
        'Ask the mill[.] Wait[.] Tool call mill .*"kilos": 2 .*ground .*'
        "Tool call farm .*Failed .*the gate is shut",
        ["1 failed"],
    ),
}
