"""What a Job can be. Higher layers add their job types when the apps are ready."""

from collections.abc import Callable
from typing import TypeAlias

from ami.base.registry import Registry
from ami.jobs.models import Job
from ami.jobs.work import PlannedWork, WholeWork

# Makes the work of a Job; raises JobFailedError where its parameters are of no use.
WorkFactory: TypeAlias = Callable[[Job], PlannedWork | WholeWork]

JOB_TYPES: Registry[WorkFactory] = Registry("job type")
