from importlib import import_module

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "ami.jobs"

    def ready(self) -> None:
        """Register the system checks, and the job type that undoes every other one."""
        import_module(f"{self.name}.checks")
        import_module(f"{self.name}.revert")
