"""The methods there are. A module registers its own with ``@register``."""

from typing import TYPE_CHECKING, TypeVar

from ami.base.registry import Registry

if TYPE_CHECKING:
    from ami.ml.post_processing.base import BasePostProcessingTask

T = TypeVar("T", bound="BasePostProcessingTask")

POSTPROCESSING_TASKS: "Registry[type[BasePostProcessingTask]]" = Registry("method")


def register(task_cls: type[T]) -> type[T]:
    """Class decorator. Raises ValueError where another class has the key."""
    POSTPROCESSING_TASKS.register(task_cls.key, task_cls)
    return task_cls


def get_postprocessing_task(key: str) -> "type[BasePostProcessingTask]":
    """Raises UnknownKeyError, which names the registered methods."""
    return POSTPROCESSING_TASKS[key]
