from typing import Any

from django.db.models import Model


def snapshot(*models: type[Model]) -> dict[str, list[Any]]:
    """Return every row of the tables, with its `updated_at`."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values()) for model in models
    }


def values(*models: type[Model]) -> dict[str, list[Any]]:
    """Return every row of the tables, without the time of its last change."""
    return {
        name: [{key: value for key, value in row.items() if key != "updated_at"} for row in rows]
        for name, rows in snapshot(*models).items()
    }
