from ami.jobs.admin.change import JobChangeAdmin
from ami.jobs.admin.job import JobAdmin
from ami.jobs.admin.log import JobLogAdmin

__all__ = ["JobAdmin", "JobChangeAdmin", "JobLogAdmin"]
