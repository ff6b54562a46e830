from typing import Any

from django.db.models import Model


def snapshot(*models: type[Model]) -> dict[str, list[Any]]:
    """Return every row of the tables, with its `updated_at`."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values()) for model in models
    }
