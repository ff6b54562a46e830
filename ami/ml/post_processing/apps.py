from importlib import import_module
from pkgutil import iter_modules

from django.apps import AppConfig

APART = {"admin", "management", "tests"}


class PostProcessingConfig(AppConfig):
    name = "ami.ml.post_processing"
    verbose_name = "Post-processing"

    def ready(self) -> None:
        """Register the methods of every module and subpackage."""
        registry = import_module(f"{self.name}.registry")
        for found in iter_modules(self.module.__path__):  # type: ignore[union-attr]
            if found.name not in APART:
                registry.register_all(import_module(f"{self.name}.{found.name}"))
