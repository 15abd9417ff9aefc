"""Models of a project that refer to sessions, items and documents, in every way there is.

The name of each is that of what it refers to, and of what happens when that is deleted.
"""

from typing import Any

from django.db import models

from parlant_store.models import Document, Session, SessionItem

TARGETS: dict[str, type[models.Model]] = {
    "Session": Session,
    "Item": SessionItem,
    "Document": Document,
}
SPARE = "spare"
"""The session_id, and the id of the document, to which SET and SET_DEFAULT change rows."""


def spare_session() -> Any:
    return Session.objects.get(session_id=SPARE).pk


def spare_item() -> Any:
    return SessionItem.objects.get(session__session_id=SPARE).pk


def spare_document() -> Any:
    return Document.objects.get(document_id=SPARE).pk


SPARES = {"Session": spare_session, "Item": spare_item, "Document": spare_document}


def foreign_key(target: str, way: str) -> Any:
    options: dict[str, Any] = {"null": True, "related_name": "+"}
    on_delete = getattr(models, way, models.DO_NOTHING)
    match way:
        case "SET":
            on_delete = models.SET(SPARES[target])
        case "SET_DEFAULT":
            options["default"] = SPARES[target]
        case "UNCHECKED":
            options["db_constraint"] = False
        case "ONE_TO_ONE":
            return models.OneToOneField(TARGETS[target], models.CASCADE, related_name="+")
    return models.ForeignKey(TARGETS[target], on_delete, **options)


WAYS = ["CASCADE", "PROTECT", "RESTRICT", "SET_NULL", "SET_DEFAULT", "SET", "DO_NOTHING"]
WAYS += ["UNCHECKED", "ONE_TO_ONE"]
WAYS += [way for way in ("DB_CASCADE", "DB_SET_NULL") if hasattr(models, way)]


def model(name: str, **fields: Any) -> type[models.Model]:
    return type(name, (models.Model,), {"__module__": __name__, **fields})


REFERENCES = {
    (target, way): model(f"{target}_{way}".replace("_", ""), to=foreign_key(target, way))
    for target in TARGETS
    for way in WAYS
}


GROUPS = {
    target: model(
        f"{target}Group", members=models.ManyToManyField(TARGETS[target], related_name="+")
    )
    for target in TARGETS
}
CASCADING = REFERENCES["Session", "CASCADE"]
Vote = model("Vote", on=models.ForeignKey(CASCADING, models.PROTECT))
"""It protects a row that would go along with a session."""

Remark = model("Remark", on=models.ForeignKey(CASCADING, models.DO_NOTHING))
"""The database alone keeps what it refers to."""
