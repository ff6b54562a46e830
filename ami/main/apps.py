from importlib import import_module
from pkgutil import iter_modules

from django.apps import AppConfig


class MainConfig(AppConfig):
    name = "ami.main"
    verbose_name = "Biology"

    def ready(self) -> None:
        """Import all modules of the checks, which register themselves."""
        checks = import_module(f"{self.name}.checks")
        for module in iter_modules(checks.__path__):
            if not module.ispkg:
                import_module(f"{checks.__name__}.{module.name}")
