"""How far a Job is: stages, each with its share done and its counters."""

from typing import Any

from django.db import models
from django.utils.text import slugify
from pydantic import BaseModel, Field, ValidationError, validator

from ami.base.storable import storable, storable_text
from ami.jobs.states import JobState


def snake_case(name: str) -> str:
    return slugify(name, allow_unicode=True).replace("-", "_")


class StageParam(BaseModel, validate_assignment=True):
    """One figure of a stage, such as a counter, under the name that it was reported by.

    `warning` says what to heed unless it is 0.
    """

    name: str
    key: str
    value: Any = None
    warning: str = ""

    @validator("value", pre=True)
    def _storable(cls, value: Any) -> Any:  # noqa: N805
        return storable(value)

    @property
    def title(self) -> str:
        """The name for people: "rows_done" is "Rows done"."""
        return (self.name[:1].upper() + self.name[1:]).replace("_", " ")

    @property
    def sentence(self) -> str:
        """What to heed; nothing where there is nothing to heed."""
        if not (self.warning and self.value):
            return ""
        return f"{self.title}: {self.shown}. {self.warning}"

    @property
    def shown(self) -> str:
        """The value for people: 12,000."""
        return f"{self.value:,}" if isinstance(self.value, int | float) else str(self.value)


class JobStage(BaseModel, validate_assignment=True):
    """One step of a Job. `progress` runs from 0 to 1; `skipped` counts rows by reason."""

    key: str
    name: str
    status: JobState = JobState.CREATED
    progress: float = 0.0
    params: list[StageParam] = Field(default_factory=list)
    skipped: dict[str, int] = Field(default_factory=dict)

    @validator("progress")
    def _share(cls, progress: float) -> float:  # noqa: N805
        return max(0.0, min(progress, 1.0))  # 0 for NaN

    @property
    def figures(self) -> list[tuple[str, Any]]:
        """What a page shows of it: titles and values, the skipped rows last."""
        skipped = [(f"Skipped: {reason}", rows) for reason, rows in self.skipped.items()]
        return [(param.title, param.value) for param in self.params] + skipped


class JobProgress(BaseModel):
    """The stages of a Job, in the order in which they were added.

    `work` is the key of the one whose counters and share done are those of the Job's parts.
    """

    stages: list[JobStage] = Field(default_factory=list)
    work: str = ""

    @property
    def work_stage(self) -> JobStage | None:
        """The stage of the work itself; the first one, where none is named."""
        named = (stage for stage in self.stages if stage.key == self.work)
        return next(named, self.stages[0] if self.stages else None)

    def add_stage(self, name: str, key: str | None = None) -> JobStage:
        """Return the stage `key` (made from the name where None), adding it if it is missing."""
        key = key or snake_case(name)
        for stage in self.stages:
            if stage.key == key:
                return stage
        stage = JobStage(key=key, name=name)
        self.stages.append(stage)
        return stage

    def get_stage(self, key: str) -> JobStage:
        """Raises ValueError where there is no stage `key`."""
        for stage in self.stages:
            if stage.key == key:
                return stage
        known = ", ".join(stage.key for stage in self.stages) or "none"
        raise ValueError(f"The Job has no stage {key!r}. Stages: {known}.")

    def add_or_update_stage_param(
        self, stage: JobStage | str, name: str, value: Any = None
    ) -> StageParam:
        """Set a figure of a stage; its key is the name in snake case.

        What JSON does not know, such as NaN, is kept as its text.
        """
        name = storable_text(name)
        stage = self.get_stage(stage) if isinstance(stage, str) else stage
        key = snake_case(name) or name
        for param in stage.params:
            if param.key == key:
                param.value = value
                return param
        param = StageParam(name=name, key=key, value=value)
        stage.params.append(param)
        return param

    def update_stage(self, key: str, **values: Any) -> JobStage:
        """Set `status` or `progress` of a stage; any other name sets one of its figures."""
        stage = self.get_stage(key)
        for name, value in values.items():
            if name in {"status", "progress", "name"}:
                setattr(stage, name, value)
            else:
                self.add_or_update_stage_param(stage, name, value)
        return stage

    @property
    def skipped(self) -> int:
        """How many rows could not be worked on."""
        return sum(rows for stage in self.stages for rows in stage.skipped.values())

    @property
    def heeded(self) -> list[StageParam]:
        """The figures that warn of something."""
        params = [param for stage in self.stages for param in stage.params]
        return [param for param in params if param.sentence]

    @property
    def warnings(self) -> list[str]:
        """A sentence for each figure that is to be heeded."""
        return [param.sentence for param in self.heeded]

    @property
    def fraction(self) -> float:
        """The share done over all stages, 0 to 1."""
        if not self.stages:
            return 0.0
        return sum(stage.progress for stage in self.stages) / len(self.stages)


class ProgressField(models.JSONField):
    """A JSON column that reads and writes as :class:`JobProgress`."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.to_python(super().from_db_value(value, expression, connection))

    def to_python(self, value: Any) -> Any:
        """A stored value that is no progress reads as none: it must not hide the Job."""
        if isinstance(value, JobProgress):
            return value
        try:
            return JobProgress.parse_obj(value)
        except ValidationError:
            return JobProgress()

    def get_prep_value(self, value: Any) -> Any:
        """Whatever a method has put into it can be stored: its Job must be able to end."""
        return storable(value.dict()) if isinstance(value, JobProgress) else value

    def value_to_string(self, obj: models.Model) -> Any:
        return self.get_prep_value(self.value_from_object(obj))
