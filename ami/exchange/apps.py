from importlib import import_module
from pkgutil import iter_modules

from django.apps import AppConfig


class ExchangeConfig(AppConfig):
    name = "ami.exchange"
    verbose_name = "Import and export"

    def ready(self) -> None:
        """Import the formats, which register themselves, the Jobs, guard and signals."""
        for room in ("export", "reading"):
            formats = import_module(f"{self.name}.{room}.formats")
            for module in iter_modules(formats.__path__):
                import_module(f"{formats.__name__}.{module.name}")
        for name in ("work", "importing.service", "clock", "deletion", "signals"):
            import_module(f"{self.name}.{name}")
