"""The progress of a Job: stages, each with the share done and its counters."""

from typing import Any

from django.db import models
from django.utils.text import slugify
from pydantic import BaseModel, Field, ValidationError, validator

from ami.base.storable import storable, storable_text
from ami.jobs.states import JobState


def snake_case(name: str) -> str:
    return slugify(name, allow_unicode=True).replace("-", "_")


class StageParam(BaseModel, validate_assignment=True):
    """One figure of a stage, such as a counter, with the name under which it was reported.

    `warning` is the sentence to show if the value is not 0.
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
        """The name to display: "rows_done" is "Rows done"."""
        return (self.name[:1].upper() + self.name[1:]).replace("_", " ")

    @property
    def sentence(self) -> str:
        """The warning with its figure; empty if there is nothing to warn of."""
        if not (self.warning and self.value):
            return ""
        return f"{self.title}: {self.shown}. {self.warning}"

    @property
    def shown(self) -> str:
        """The value to display, such as 12,000."""
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
        """The titles and values that a page shows, with the skipped rows last."""
        skipped = [(f"Skipped: {reason}", rows) for reason, rows in self.skipped.items()]
        return [(param.title, param.value) for param in self.params] + skipped


class JobProgress(BaseModel):
    """The stages of a Job, in the order in which they were added.

    `work` is the key of the stage that shows the counters and the share done of the Job's parts.
    """

    stages: list[JobStage] = Field(default_factory=list)
    work: str = ""

    @property
    def work_stage(self) -> JobStage | None:
        """The stage of the work itself, or the first stage if none is named."""
        named = (stage for stage in self.stages if stage.key == self.work)
        return next(named, self.stages[0] if self.stages else None)

    def add_stage(self, name: str, key: str | None = None) -> JobStage:
        """Return the stage `key` (by default made from the name), adding it if it is missing."""
        key = key or snake_case(name)
        for stage in self.stages:
            if stage.key == key:
                return stage
        stage = JobStage(key=key, name=name)
        self.stages.append(stage)
        return stage

    def get_stage(self, key: str) -> JobStage:
        """Return the stage `key`. Raises ValueError if there is none."""
        for stage in self.stages:
            if stage.key == key:
                return stage
        known = ", ".join(stage.key for stage in self.stages) or "none"
        raise ValueError(f"The Job has no stage {key!r}. Stages: {known}.")

    def add_or_update_stage_param(
        self, stage: JobStage | str, name: str, value: Any = None
    ) -> StageParam:
        """Set a figure of a stage; its key is the name in snake case.

        Values that JSON does not support, such as NaN, are stored as text.
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
    def figures(self) -> dict[str, Any]:
        """The figures of all stages, by the title that a page shows."""
        return {title: value for stage in self.stages for title, value in stage.figures}

    @property
    def skipped(self) -> int:
        """The number of rows that were skipped."""
        return sum(rows for stage in self.stages for rows in stage.skipped.values())

    @property
    def heeded(self) -> list[StageParam]:
        """The figures with a warning."""
        params = [param for stage in self.stages for param in stage.params]
        return [param for param in params if param.sentence]

    @property
    def warnings(self) -> list[str]:
        """One sentence for each figure with a warning."""
        return [param.sentence for param in self.heeded]

    @property
    def fraction(self) -> float:
        """The share done over all stages, from 0 to 1."""
        if not self.stages:
            return 0.0
        return sum(stage.progress for stage in self.stages) / len(self.stages)


class ProgressField(models.JSONField):
    """A JSON column whose values are :class:`JobProgress` objects."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.to_python(super().from_db_value(value, expression, connection))

    def to_python(self, value: Any) -> Any:
        """Read an invalid value as empty progress, so that the Job can still be shown."""
        if isinstance(value, JobProgress):
            return value
        try:
            return JobProgress.parse_obj(value)
        except ValidationError:
            return JobProgress()

    def get_prep_value(self, value: Any) -> Any:
        """Make every value that a method reported storable, so that its Job can end."""
        return storable(value.dict()) if isinstance(value, JobProgress) else value

    def value_to_string(self, obj: models.Model) -> Any:
        return self.get_prep_value(self.value_from_object(obj))
