"""A small project with all that an export has to carry, and what reads its file."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command

from ami.base.tests.factories import (
    NIGHT,
    make_algorithm,
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
    make_user,
)
from ami.exchange.export.registry import FORMATS, ExportOptions
from ami.exchange.export.run import Written, write_file
from ami.exchange.export.scope import Scope
from ami.jobs.models import Job
from ami.main.models import Event, Identification, Occurrence, Project, TaxaList, TaxonRank


class World:
    """Two captures of one night with two moths, one of which two people have identified."""

    def __init__(self, **names: str) -> None:
        self.project = make_project(name=names.get("project", "Vermont"))
        self.deployment = make_deployment(
            project=self.project,
            name=names.get("deployment", "Trap 1"),
            latitude=44.5,
            longitude=-72.5,
            time_zone="America/New_York",
        )
        self.night = Event.objects.create(
            project=self.project, deployment=self.deployment, group_by="2022-06-20"
        )
        self.captures = [
            make_capture(deployment=self.deployment, event=self.night, path=f"night/{name}.jpg")
            for name in (names.get("capture", "a"), "b")
        ]
        family = make_taxon(name="Noctuidae", rank=TaxonRank.FAMILY)
        genus = make_taxon(name="Acronicta", rank=TaxonRank.GENUS, parent=family)
        self.machine = make_taxon(name=names.get("machine", "Acronicta rumicis"), parent=genus)
        self.human = make_taxon(
            name=names.get("human", "Acronicta impleta"), parent=genus, gbif_taxon_key=1793
        )
        self.classifier = make_algorithm(name=names.get("algorithm", "Moth net"), version=3)
        taxa_list = TaxaList.objects.create(name=names.get("list", "Moths of Vermont"))
        self.job = Job.objects.create(
            name="Class masking of a set",
            project=self.project,
            job_type_key="post_processing",
            params={"task": "class_masking", "config": {"taxa_list_id": taxa_list.pk}},
        )
        self.first, self.second = self._moth(0.8, self.captures), self._moth(0.6, self.captures[:1])
        self.people = [
            make_user(name=names.get("person", "Ada")),
            make_user(name=""),
        ]
        self._identify()

    def _moth(self, score: float, captures: list[Any]) -> Occurrence:
        moth = make_occurrence(deployment=self.deployment, event=self.night)
        for capture in captures:
            detection = make_detection(
                source_image=capture,
                occurrence=moth,
                path=f"crops/{moth.pk}-{capture.pk}.jpg",
                detection_score=0.7,
            )
            self._classify(detection, score)
        moth.save()
        return moth

    def _classify(self, detection: Any, score: float) -> None:
        first = make_classification(
            detection=detection,
            taxon=self.human,
            score=0.5,
            terminal=False,
            algorithm=self.classifier,
            timestamp=NIGHT,
        )
        make_classification(
            detection=detection,
            taxon=self.machine,
            score=score,
            algorithm=self.classifier,
            applied_to=first,
            job=self.job,
            timestamp=NIGHT,
        )

    def _identify(self) -> None:
        ada, nobody = self.people
        former = Identification.objects.create(
            occurrence=self.first, taxon=self.human, user=nobody, blind=True
        )
        Identification.objects.create(
            occurrence=self.first,
            taxon=self.human,
            user=ada,
            agreed_with_identification=former,
        )
        self.first.refresh_from_db()

    @property
    def scope(self) -> Scope:
        return Scope(self.project.pk)


def exported(key: str, scope: Scope, folder: Path, **options: Any) -> Written:
    form = FORMATS[key]
    return write_file(form, scope, ExportOptions(**options), folder / f"export{form.suffix}")


def run_export(*arguments: Any) -> tuple[str, str]:
    """What the command prints to stdout and stderr."""
    out, err = StringIO(), StringIO()
    call_command("export", *map(str, arguments), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def empty_project() -> Project:
    return make_project(name="Nothing yet")
