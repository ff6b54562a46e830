"""One permission for each registered method, which groups and users can have."""

from typing import Any

from django.apps import apps as installed
from django.apps.registry import Apps

from ami.ml.post_processing.registry import POSTPROCESSING_TASKS


def create_run_permissions(*, using: str, apps: Apps = installed, **options: Any) -> None:
    """Create or rename the permissions after `migrate` and `flush`; those of removed methods stay.

    `flush` sends the signal without `apps`.
    """
    try:
        permission = apps.get_model("auth", "Permission")
        content_type = apps.get_model("contenttypes", "ContentType")
    except LookupError:
        return
    jobs, _ = content_type.objects.using(using).get_or_create(app_label="jobs", model="job")
    for key, task_cls in POSTPROCESSING_TASKS.items():
        permission.objects.using(using).update_or_create(
            content_type=jobs, codename=f"run_{key}", defaults={"name": f"Can run {task_cls.name}"}
        )
