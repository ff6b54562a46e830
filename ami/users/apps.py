from importlib import import_module

from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "ami.users"

    def ready(self) -> None:
        """Import the module that notes when a session began."""
        import_module(f"{self.name}.sessions")
