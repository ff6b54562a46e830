from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from django.db.models import CASCADE, DO_NOTHING, Model
from django.db.models.deletion import get_candidate_relations_to_delete

from ami.base.registry import Registry

DELETE_LIMIT = 1_000

# Returns sentences on why rows of the model with these ids must not be deleted, and what to do.
DeletionGuard: TypeAlias = Callable[[type[Model], list[Any]], Iterable[str]]
DELETION_GUARDS: Registry[DeletionGuard] = Registry("deletion guard")


def reasons_to_keep(model: type[Model], ids: list[Any]) -> list[str]:
    """Return the reasons of all guards for these rows, each sentence once."""
    said = (reason for key in DELETION_GUARDS for reason in DELETION_GUARDS[key](model, ids))
    return list(dict.fromkeys(said))


def touches_more_than(limit: int, *, model: type[Model], ids: list[Any]) -> bool:
    """Whether deleting these rows would delete or change more than `limit` rows in total.

    Reads at most `limit + 1` ids, unlike Django's collector, which loads every row.
    """
    seen = len(ids)
    levels = [(model, ids)]
    while levels and seen <= limit:
        model, ids = levels.pop()
        relation: Any
        for relation in get_candidate_relations_to_delete(model._meta):
            if relation.on_delete is DO_NOTHING:
                continue
            related = relation.related_model
            rows = related._base_manager.filter(**{f"{relation.field.name}__in": ids})
            found = list(rows.values_list("pk", flat=True)[: max(0, limit + 1 - seen)])
            seen += len(found)
            if found and relation.on_delete is CASCADE:
                levels.append((related, found))
    return seen > limit
