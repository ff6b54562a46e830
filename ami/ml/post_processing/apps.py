from importlib import import_module
from pkgutil import iter_modules

from django.apps import AppConfig


class PostProcessingConfig(AppConfig):
    name = "ami.ml.post_processing"
    verbose_name = "Post-processing"

    def ready(self) -> None:
        """Import every module of the package: what is there registers itself."""
        for module in iter_modules(self.module.__path__):  # type: ignore[union-attr]
            if not module.ispkg:
                import_module(f"{self.name}.{module.name}")
