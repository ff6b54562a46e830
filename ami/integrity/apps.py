from importlib import import_module

from django.apps import AppConfig


class IntegrityConfig(AppConfig):
    name = "ami.integrity"
    verbose_name = "Integrity"

    def ready(self) -> None:
        """Import the modules that register repairs, warnings and figures."""
        for module in ("service", "schedule", "figures"):
            import_module(f"{self.name}.{module}")
