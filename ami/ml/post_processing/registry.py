"""The registry of methods. Each concrete method in this package is registered by itself."""

from collections.abc import Iterator
from types import ModuleType
from typing import TypeVar

from ami.base.registry import Registry
from ami.ml.post_processing.base import BasePostProcessingTask

T = TypeVar("T", bound=BasePostProcessingTask)


class MethodRegistry(Registry[type[BasePostProcessingTask]]):
    """Methods by key. Refuses methods that could not be run under their key."""

    def __setitem__(self, key: str, task_cls: type[BasePostProcessingTask]) -> None:
        """Raises TypeError if it is not a concrete method, ValueError if its own key differs."""
        if not (isinstance(task_cls, type) and issubclass(task_cls, BasePostProcessingTask)):
            raise TypeError(
                f"A method must be a subclass of BasePostProcessingTask, got {task_cls!r}."
            )
        if missing := task_cls.missing():
            raise TypeError(
                f"{task_cls.__name__} cannot be registered: it must define {', '.join(missing)}."
            )
        if key != task_cls.key:
            raise ValueError(
                f"{task_cls.__name__} has the key {task_cls.key!r}; register it under that key, "
                f"not {key!r}."
            )
        super().__setitem__(key, task_cls)


POSTPROCESSING_TASKS = MethodRegistry("method")


def register(task_cls: type[T]) -> type[T]:
    """Class decorator, needed only outside this package. Raises as MethodRegistry does."""
    POSTPROCESSING_TASKS[getattr(task_cls, "key", "")] = task_cls
    return task_cls


def register_all(module: ModuleType) -> None:
    """Register every concrete method that is defined in `module` or its submodules."""
    for task_cls in _defined_in(module):
        if not task_cls.missing():
            register(task_cls)


def get_postprocessing_task(key: str) -> type[BasePostProcessingTask]:
    """Raises UnknownKeyError, which names the registered methods."""
    return POSTPROCESSING_TASKS[key]


def _defined_in(module: ModuleType) -> Iterator[type[BasePostProcessingTask]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, BasePostProcessingTask):
            home = value.__module__
            if home == module.__name__ or home.startswith(f"{module.__name__}."):
                yield value
