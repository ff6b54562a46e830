from ami.jobs.admin.change import JobChangeAdmin
from ami.jobs.admin.job import JobAdmin
from ami.jobs.admin.periodic import PeriodicTaskAdmin
from ami.jobs.admin.pulse import PulseAdmin

__all__ = ["JobAdmin", "JobChangeAdmin", "PeriodicTaskAdmin", "PulseAdmin"]
