from ami.jobs.admin.change import JobChangeAdmin
from ami.jobs.admin.job import JobAdmin

__all__ = ["JobAdmin", "JobChangeAdmin"]
