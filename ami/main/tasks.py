from typing import Any

from celery import current_app, shared_task
from celery.local import Proxy

from ami.base.ids import RowId
from ami.main.events import group_captures


@shared_task
def regroup_events(deployment_id: RowId) -> None:
    """Group the captures of one deployment into nights."""
    group_captures(deployment_id)


def _registered_above() -> Any:
    current_app.loader.import_default_modules()
    return current_app.tasks[f"{__name__}.check_data_integrity"]


# An alias of the task in the higher layer that runs the checks.
check_data_integrity: Any = Proxy(_registered_above)
