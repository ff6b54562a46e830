"""Names for code that was written for Antenna."""

from ami.jobs.management.commands.check_jobs import Command

__all__ = ["Command"]
