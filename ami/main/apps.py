from importlib import import_module
from pkgutil import iter_modules

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class MainConfig(AppConfig):
    name = "ami.main"
    verbose_name = "Biology"

    def ready(self) -> None:
        """Import the checks, which register themselves, and `integrity_checks` of every app."""
        checks = import_module(f"{self.name}.checks")
        for module in iter_modules(checks.__path__):
            if not module.ispkg:
                import_module(f"{checks.__name__}.{module.name}")
        autodiscover_modules("integrity_checks")
