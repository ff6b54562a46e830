"""`check_jobs` by the name that it has in Antenna."""

from ami.jobs.management.commands.check_jobs import Command

__all__ = ["Command"]
