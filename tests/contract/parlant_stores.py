"""What an application does with each of Parlant's stores, and what the stores answer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from parlant.core.agents import AgentDocumentStore, CompositionMode, MessageOutputMode
from parlant.core.common import IdGenerator, ItemNotFoundError
from parlant.core.context_variables import ContextVariableDocumentStore, ContextVariableValue
from parlant.core.customers import (
    Customer,
    CustomerDocumentStore,
    CustomerListing,
    CustomerStore,
)
from parlant.core.evaluations import (
    Evaluation,
    EvaluationDocumentStore,
    EvaluationStatus,
    GuidelinePayload,
    InvoiceGuidelineData,
    InvoiceJourneyData,
    JourneyPayload,
    PayloadDescriptor,
    PayloadKind,
    PayloadOperation,
)
from parlant.core.guidelines import GuidelineContent
from parlant.core.persistence.common import SortDirection
from parlant.core.relationships import (
    RelationshipDocumentStore,
    RelationshipEntity,
    RelationshipEntityKind,
    RelationshipKind,
)
from parlant.core.sessions import (
    AgentState,
    Event,
    EventKind,
    EventSource,
    Session,
    SessionDocumentStore,
)
from parlant.core.tags import TagDocumentStore
from parlant.core.tools import ToolId

NASTY = {
    "text": "\0 \ud800 é😀 \\u0000",
    "": 1.0,
    "big": 10**20,
    "deep": {"a": [None, True, 1e300, {"b": []}]},
}


def at(second: int) -> datetime:
    return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


async def open_store(kind: type, database: Any) -> Any:
    """A store as a server opens it when it starts."""
    generator = () if kind in (SessionDocumentStore, EvaluationDocumentStore) else (IdGenerator(),)
    return await kind(*generator, database).__aenter__()


class Tale:
    """What a store answered, call by call."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    async def __call__(self, call: Awaitable[Any]) -> Any:
        try:
            answer = await call
        except (ItemNotFoundError, ValueError) as exc:
            answer = type(exc)
        self.answers.append(_timeless(answer))
        return answer

    def without_chance(self) -> Any:
        """The answers, with numbers for random ids and nothing for the time of a call."""
        return _plain(self.answers, {})


def _timeless(answer: Any) -> Any:
    # The guest is made anew whenever it is read.
    if isinstance(answer, CustomerListing):
        return replace(answer, items=[_timeless(customer) for customer in answer])
    if isinstance(answer, Customer) and answer.id == CustomerStore.GUEST_ID:
        return replace(answer, creation_utc=at(0))
    return answer


def _plain(value: Any, names: dict[str, int]) -> Any:
    if isinstance(value, (Session, Event, Evaluation)):
        names.setdefault(value.id, len(names))
    if isinstance(value, ContextVariableValue):
        value = replace(value, last_modified=at(0))
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: _plain(getattr(value, field.name), names) for field in fields(value)}
        return type(value), found
    if isinstance(value, Mapping):
        return {key: _plain(inner, names) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, names) for inner in value]
    if isinstance(value, (bool, int, float)):
        return type(value), value
    return names.get(value, value) if isinstance(value, str) else value


async def leaf_through(tell: Tale, list_: Callable[..., Any], *limits: int, **filters: Any) -> None:
    for direction in (SortDirection.ASC, SortDirection.DESC, None):
        for limit in limits:
            cursor = None
            while True:
                page = await tell(
                    list_(limit=limit, cursor=cursor, sort_direction=direction, **filters)
                )
                cursor = page.next_cursor
                if cursor is None:
                    break


async def live_sessions(store: SessionDocumentStore, tell: Tale) -> None:
    for number in (3, 0, 6, 1, 5, 2, 4):
        await tell(
            store.create_session(
                customer_id=f"c{number % 2}",
                agent_id=f"a{number % 3}",
                creation_utc=at(number),
                title=(None, "", "é \0 😀")[number % 3],
                mode=(None, "manual")[number % 2],
                metadata=({}, NASTY)[number % 2],
                labels=(None, {"odd", "x"})[number % 2],
            )
        )
    first, second, third, *_ = [session.id for session in await tell(store.list_sessions())]
    everything = {
        "customer_id": "c9",
        "agent_id": "a9",
        "mode": "manual",
        "title": "changed",
        "consumption_offsets": {"client": 3},
        "agent_states": [AgentState("trace", ["g1"], {"j1": ["n1", None]})],
        "metadata": {"a": 1},
    }
    for session_id in (first, "nobody"):
        await tell(store.update_session(session_id, everything))
        await tell(store.update_session(session_id, {}))
        await tell(store.set_metadata(session_id, "k", NASTY))
        await tell(store.set_metadata(session_id, "k", None))
        await tell(store.unset_metadata(session_id, "a"))
        await tell(store.unset_metadata(session_id, "never was"))
        await tell(store.upsert_labels(session_id, {"x", "y", "z"}))
        await tell(store.remove_labels(session_id, {"x", "never was"}))
    for session_id in (first, second, third):
        await _live_events(store, tell, session_id)
    await tell(store.delete_session(third))
    await tell(store.delete_session(third))
    await tell(store.read_session(third))
    await tell(store.list_events(third))
    await tell(store.create_event(third, EventSource.SYSTEM, EventKind.CUSTOM, "t", None))


async def _live_events(store: SessionDocumentStore, tell: Tale, session_id: Any) -> None:
    sources, kinds = list(EventSource), list(EventKind)
    ids = []
    for number in range(8):
        event = await tell(
            store.create_event(
                session_id,
                source=sources[number % len(sources)],
                kind=kinds[number % len(kinds)],
                trace_id=f"t{number % 3}",
                data=({"message": "hello", "chunks": []}, NASTY, None, "text")[number % 4],
                metadata=({}, {"n": number})[number % 2],
                creation_utc=at(number),
            )
        )
        ids.append(event.id)
    for chunks in (["he"], ["he", "llo"], ["he", "llo", None]):
        data = {"message": "hello", "chunks": chunks}
        await tell(store.update_event(session_id, ids[0], {"data": data}))
    await tell(store.update_event(session_id, ids[0], {"metadata": NASTY}))
    await tell(store.update_event(session_id, ids[3], {"metadata": {}, "data": None}))
    await tell(store.update_event(session_id, ids[4], {}))
    await tell(store.update_event("nobody", ids[4], {"data": 1}))
    for event_id in (ids[1], ids[1], ids[7], "nothing"):
        await tell(store.delete_event(event_id))
    await tell(store.update_event(session_id, ids[1], {"data": 1}))
    await tell(
        store.create_event(session_id, sources[0], kinds[0], "t9", "last", creation_utc=at(9))
    )


async def look_at_sessions(store: SessionDocumentStore, tell: Tale) -> None:
    await leaf_through(tell, store.list_sessions, 0, 1, 3, 6, 7)
    await leaf_through(tell, store.list_sessions, 2, agent_id="a1")
    await leaf_through(tell, store.list_sessions, 2, customer_id="c0")
    await leaf_through(tell, store.list_sessions, 1, agent_id="a0", customer_id="c1")
    for labels in ({"x"}, {"x", "odd"}, {"never was"}):
        await tell(store.list_sessions(labels=labels))
        await leaf_through(tell, store.list_sessions, 3, labels=labels)
    for session in await tell(store.list_sessions()):
        await tell(store.read_session(session.id))
        for event in await tell(store.list_events(session.id, exclude_deleted=False)):
            await tell(store.read_event(session.id, event.id))
            await tell(store.read_event("nobody", event.id))
        for offset in (None, 0, 3, 100):
            await tell(store.list_events(session.id, min_offset=offset))
        for kinds in ([EventKind.MESSAGE], [EventKind.TOOL, EventKind.STATUS], list(EventKind)):
            await tell(store.list_events(session.id, kinds=kinds))
            await tell(store.list_events(session.id, kinds=kinds, trace_id="t0", min_offset=2))
        for source in EventSource:
            await tell(store.list_events(session.id, source=source, exclude_deleted=False))
        await tell(store.read_event(session.id, "nothing"))


async def live_customers(store: CustomerDocumentStore, tell: Tale) -> None:
    ids = []
    for number in (4, 1, 3, 0, 2, 5, 5):
        customer = await tell(
            store.create_customer(
                f"Name {number}",
                extra={"n": "\0 é😀"} if number % 2 else {},
                creation_utc=at(number // 2),
                tags=(None, ["vip"], ["vip", "new", "a"])[number % 3],
            )
        )
        ids.append(customer.id)
    for _ in range(2):
        await tell(store.create_customer("Mine", id="mine", creation_utc=at(1)))
    for customer_id in (ids[0], "nobody"):
        await tell(store.update_customer(customer_id, {"name": "Changed"}))
        await tell(store.upsert_extra(customer_id, {"a": "1", "b": "2", "n": "3"}))
        await tell(store.remove_extra(customer_id, ["b", "never was"]))
        for second in (1, 2):
            await tell(store.upsert_tag(customer_id, "late", creation_utc=at(second)))
        await tell(store.upsert_tag(customer_id, "gone", creation_utc=at(0)))
        await tell(store.remove_tag(customer_id, "gone"))
        await tell(store.remove_tag(customer_id, "gone"))
    for customer_id in (ids[1], ids[1], CustomerStore.GUEST_ID):
        await tell(store.delete_customer(customer_id))


async def look_at_customers(store: CustomerDocumentStore, tell: Tale) -> None:
    for customer in await tell(store.list_customers()):
        await tell(store.read_customer(customer.id))
    await tell(store.read_customer("nobody"))
    await leaf_through(tell, store.list_customers, 1, 2, 3, 7, 8)
    for tags in ([], ["vip"], ["new", "late"], ["never was"]):
        await tell(store.list_customers(tags=tags))
        await leaf_through(tell, store.list_customers, 1, 2, 4, tags=tags)


async def live_variables(store: ContextVariableDocumentStore, tell: Tale) -> None:
    ids = []
    for number in (2, 0, 1, 3, 3):
        variable = await tell(
            store.create_variable(
                f"name {number % 3}",
                description=(None, "", "é \0 😀")[number % 3],
                creation_utc=at(number // 2),
                tool_id=(None, ToolId("service", "tool:one"))[number % 2],
                freshness_rules=(None, "* * * * *")[number // 2],
                tags=(None, ["agent:a"], ["agent:a", "journey:b"])[number % 3],
            )
        )
        ids.append(variable.id)
    changes = {"name": "changed", "description": None, "tool_id": ToolId("other", "tool")}
    for variable_id in (ids[0], "nothing"):
        await tell(store.update_variable(variable_id, changes | {"freshness_rules": "@daily"}))
        await tell(store.update_variable(variable_id, {}))
        for second in (1, 2):
            await tell(store.add_variable_tag(variable_id, "late", creation_utc=at(second)))
        await tell(store.add_variable_tag(variable_id, "gone", creation_utc=at(0)))
        await tell(store.remove_variable_tag(variable_id, "gone"))
        await tell(store.remove_variable_tag(variable_id, "gone"))
    values = [1, 1.0, True, None, "text", [], {"a": {"b": "\0"}}]
    for variable_id in (ids[0], ids[1]):
        for key, data in zip(["DEFAULT", "", "a", "A", "tag:é", "\0", "gone"], values, strict=True):
            await tell(store.update_value(variable_id, key, data))
        for data in (NASTY | {"text": "\0"}, "again", "again"):
            await tell(store.update_value(variable_id, "a", data))
        await tell(store.delete_value(variable_id, "gone"))
        await tell(store.delete_value(variable_id, "gone"))
    await tell(store.delete_variable(ids[1]))
    await tell(store.delete_variable(ids[1]))
    await tell(store.list_values(ids[1]))


async def look_at_variables(store: ContextVariableDocumentStore, tell: Tale) -> None:
    for tags in ([], ["agent:a"], ["journey:b", "late"], ["never was"]):
        await tell(store.list_variables(tags=tags))
    for variable in await tell(store.list_variables()):
        await tell(store.read_variable(variable.id))
        for key, _ in await tell(store.list_values(variable.id)):
            await tell(store.read_value(variable.id, key))
        await tell(store.read_value(variable.id, "gone"))
    await tell(store.read_variable("nothing"))


async def live_tags(store: TagDocumentStore, tell: Tale) -> None:
    tags = []
    for number, name in enumerate(["b", "A", "a", "é😀", "", "\0", "b"]):
        tags.append(await tell(store.create_tag(name, creation_utc=at(number // 3))))
    await tell(store.update_tag(tags[0].id, {"name": "changed"}))
    await tell(store.update_tag("nothing", {"name": "changed"}))
    await tell(store.delete_tag(tags[1].id))
    await tell(store.delete_tag(tags[1].id))


async def look_at_tags(store: TagDocumentStore, tell: Tale) -> None:
    for tag in await tell(store.list_tags()):
        await tell(store.read_tag(tag.id))
        await tell(store.list_tags(name=tag.name))
    await tell(store.list_tags(name="never was"))
    await tell(store.read_tag("nothing"))


async def live_agents(store: AgentDocumentStore, tell: Tale) -> None:
    ids = []
    for number in (2, 0, 1, 3, 3):
        agent = await tell(
            store.create_agent(
                f"name {number}",
                description=(None, "é \0 😀")[number % 2],
                creation_utc=at(number // 2),
                max_engine_iterations=(None, 7)[number % 2],
                composition_mode=(None, CompositionMode.CANNED_STRICT)[number % 2],
                message_output_mode=(None, MessageOutputMode.STREAM)[number // 2],
                tags=(None, ["a"], ["b", "a", "c"])[number % 3],
            )
        )
        ids.append(agent.id)
    for _ in range(2):
        await tell(store.create_agent("mine", id="mine", creation_utc=at(1)))
    changes = {
        "name": "changed",
        "description": None,
        "max_engine_iterations": 9,
        "composition_mode": CompositionMode.CANNED_FLUID,
        "message_output_mode": MessageOutputMode.STREAM,
    }
    for agent_id in (ids[0], "nobody"):
        await tell(store.update_agent(agent_id, changes))
        await tell(store.update_agent(agent_id, {}))
        for second in (1, 2):
            await tell(store.upsert_tag(agent_id, "late", creation_utc=at(second)))
        await tell(store.upsert_tag(agent_id, "gone", creation_utc=at(0)))
        await tell(store.remove_tag(agent_id, "gone"))
        await tell(store.remove_tag(agent_id, "gone"))
    for agent_id in (ids[1], ids[1]):
        await tell(store.delete_agent(agent_id))


async def look_at_agents(store: AgentDocumentStore, tell: Tale) -> None:
    for agent in await tell(store.list_agents()):
        await tell(store.read_agent(agent.id))
    await tell(store.read_agent("nobody"))


A, B, C, D = (RelationshipEntity(name, RelationshipEntityKind.GUIDELINE) for name in "ABCD")
TAG = RelationshipEntity("tag", RelationshipEntityKind.TAG_ANY)
TOOL = RelationshipEntity(ToolId("service", "tool:one"), RelationshipEntityKind.TOOL)


async def live_relationships(store: RelationshipDocumentStore, tell: Tale) -> None:
    kinds, ids = RelationshipKind, []
    wanted = [
        (A, B, kinds.PRIORITY, None),
        (B, C, kinds.PRIORITY, None),
        (B, D, kinds.PRIORITY, None),
        (A, B, kinds.PRIORITY, None),
        (C, A, kinds.PRIORITY, None),
        (A, TAG, kinds.DEPENDENCY_ANY, "group"),
        (TAG, A, kinds.DEPENDENCY, None),
        (A, TOOL, kinds.REEVALUATION, None),
        (TOOL, TOOL, kinds.OVERLAP, None),
        (D, A, kinds.ENTAILMENT, None),
    ]
    for number, (source, target, kind, group) in enumerate(wanted):
        made = await tell(
            store.create_relationship(source, target, kind, group, creation_utc=at(number // 2))
        )
        ids.append(getattr(made, "id", "nothing"))
    for relationship_id in (ids[2], ids[2], ids[4]):
        await tell(store.delete_relationship(relationship_id))
    await tell(store.read_relationship(ids[0]))


async def look_at_relationships(store: RelationshipDocumentStore, tell: Tale) -> None:
    for relationship in await tell(store.list_relationships()):
        await tell(store.read_relationship(relationship.id))
    await tell(store.read_relationship("nothing"))
    for kind in (None, RelationshipKind.PRIORITY, RelationshipKind.OVERLAP):
        await tell(store.list_relationships(kind))
        for entity in (A, B, C, TAG, TOOL):
            for ends in ({"source_id": entity.id}, {"target_id": entity.id}):
                await tell(store.list_relationships(kind, indirect=False, **ends))
                await tell(_sorted(store.list_relationships(kind, indirect=True, **ends)))


async def _sorted(call: Awaitable[Any]) -> Any:
    # Walking a graph backwards follows the order of a set.
    return sorted(await call, key=lambda relationship: relationship.id)


async def live_evaluations(store: EvaluationDocumentStore, tell: Tale) -> None:
    payloads = [
        PayloadDescriptor(
            PayloadKind.GUIDELINE,
            GuidelinePayload(
                content=GuidelineContent("é \0", "😀"),
                tool_ids=[ToolId("service", "tool")],
                operation=PayloadOperation.ADD,
                action_proposition=True,
                properties_proposition=False,
                journey_node_proposition=True,
            ),
        ),
        PayloadDescriptor(PayloadKind.JOURNEY, JourneyPayload("j", PayloadOperation.UPDATE)),
    ]
    made = [
        await tell(store.create_evaluation(payloads[:count], creation_utc=at(number), tags=tags))
        for number, count, tags in ((1, 2, ["a"]), (0, 1, None), (2, 0, None))
    ]
    data = (InvoiceGuidelineData(NASTY), InvoiceJourneyData({"n": NASTY}, {"e": {}}))
    invoices = [
        replace(invoice, approved=True, checksum="c", state_version="1", data=found, error="é")
        for invoice, found in zip(made[0].invoices, data, strict=True)
    ]
    for evaluation_id in (made[0].id, "nothing"):
        running = {"status": EvaluationStatus.RUNNING, "progress": 0.5}
        await tell(store.update_evaluation(evaluation_id, running))
        await tell(store.update_evaluation(evaluation_id, {"invoices": invoices}))
        failed = {"status": EvaluationStatus.FAILED, "error": "\0", "progress": 100.0}
        await tell(store.update_evaluation(evaluation_id, failed))
        await tell(store.update_evaluation(evaluation_id, {}))
        for second in (3, 4):
            await tell(store.upsert_tag(evaluation_id, "late", creation_utc=at(second)))
        await tell(store.upsert_tag(evaluation_id, "gone", creation_utc=at(0)))
        await tell(store.remove_tag(evaluation_id, "gone"))
        await tell(store.remove_tag(evaluation_id, "gone"))


async def look_at_evaluations(store: EvaluationDocumentStore, tell: Tale) -> None:
    for evaluation in await tell(store.list_evaluations()):
        await tell(store.read_evaluation(evaluation.id))
    await tell(store.read_evaluation("nothing"))


LIVES = {
    SessionDocumentStore: (live_sessions, look_at_sessions),
    CustomerDocumentStore: (live_customers, look_at_customers),
    ContextVariableDocumentStore: (live_variables, look_at_variables),
    TagDocumentStore: (live_tags, look_at_tags),
    AgentDocumentStore: (live_agents, look_at_agents),
    RelationshipDocumentStore: (live_relationships, look_at_relationships),
    EvaluationDocumentStore: (live_evaluations, look_at_evaluations),
}
