"""What a Job can be. Higher layers add their job types when the apps are ready."""

from collections.abc import Callable
from typing import TypeAlias

from ami.base.registry import Registry
from ami.jobs.models import Job
from ami.jobs.work import PlannedWork, WholeWork
from ami.users.models import User

# Makes the work of a Job; raises JobFailedError where its parameters are of no use.
WorkFactory: TypeAlias = Callable[[Job], PlannedWork | WholeWork]

JOB_TYPES: Registry[WorkFactory] = Registry("job type")

# Makes a new queued Job with the options of an ended one, for the user who asks; raises
# JobFailedError where they are of no use any more. Types that cannot be run again are not here.
RUNS_AGAIN: Registry[Callable[[Job, User | None], Job]] = Registry("job type to run again")
