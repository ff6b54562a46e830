from ami.jobs.admin.change import JobChangeAdmin
from ami.jobs.admin.job import JobAdmin
from ami.jobs.admin.pulse import PulseAdmin
from ami.jobs.admin.schedule import ScheduleAdmin

__all__ = ["JobAdmin", "JobChangeAdmin", "PulseAdmin", "ScheduleAdmin"]
