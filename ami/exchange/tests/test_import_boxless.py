"""Observations without a box: left out and listed, or kept on the whole picture on demand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ami.base.tests.factories import make_capture, make_deployment
from ami.exchange.reading.subjects import ABSENT, NO_BOX, NO_OWN_PICTURE, SHARED_PICTURE
from ami.exchange.tests.reading import SAMPLES
from ami.main.models import Classification, Detection, Identification, Occurrence, Project

pytestmark = pytest.mark.django_db

META = """<archive xmlns="http://rs.tdwg.org/dwc/text/">
  <core rowType="http://rs.tdwg.org/dwc/terms/Occurrence" fieldsTerminatedBy="\\t"
        fieldsEnclosedBy="" ignoreHeaderLines="1">
    <files><location>occurrence.txt</location></files>
    <id index="0"/>
    <field index="1" term="http://rs.tdwg.org/dwc/terms/scientificName"/>
    <field index="2" term="http://rs.tdwg.org/dwc/terms/identifiedBy"/>
    <field index="3" term="http://rs.tdwg.org/dwc/terms/occurrenceStatus"/>
    <field default="Garden" term="http://rs.tdwg.org/dwc/terms/locality"/>
    <field default="2022-06-20T23:00:00-04:00" term="http://rs.tdwg.org/dwc/terms/eventDate"/>
  </core>
  <extension rowType="http://rs.gbif.org/terms/1.0/Multimedia" fieldsTerminatedBy="\\t"
        fieldsEnclosedBy="" ignoreHeaderLines="1">
    <files><location>multimedia.txt</location></files>
    <coreid index="0"/>
    <field index="1" term="http://purl.org/dc/terms/identifier"/>
  </extension>
</archive>"""
ROWS = (
    ("o1", "Actias luna (Linnaeus, 1758)", "Ada Lovelace", "PRESENT"),  # on two pictures
    ("o2", "Noctua pronuba", "", ""),  # named by nobody
    ("o3", "Noctua pronuba", "Ada Lovelace", ""),  # both on one picture
    ("o4", "Actias luna", "Ada Lovelace", ""),
    ("o5", "Actias luna", "", ""),  # without a picture
    ("o6", "Actias luna", "", "ABSENT"),
    ("o7", "x" * 300, "", ""),
)
PICTURES = ("o1 1", "o1 2", "o1 2", "o2 3", "o3 4", "o4 4", "o6 5", "o7 5")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "gbif"
    folder.mkdir()
    (folder / "meta.xml").write_text(META)
    rows = ["id\tname\tby\tstatus", *map("\t".join, ROWS)]
    (folder / "occurrence.txt").write_text("\n".join(rows))
    pictures = [f"{key}\t{number}.jpg" for key, number in map(str.split, PICTURES)]
    (folder / "multimedia.txt").write_text("\n".join(["id\tidentifier", *pictures]))
    return folder


@pytest.fixture
def garden(project: Project) -> None:
    """Captures of which the database knows the size, which the archive does not tell."""
    trap = make_deployment(project=project, name="Garden")
    for number in range(1, 6):
        make_capture(deployment=trap, path=f"{number}.jpg", width=400, height=300, timestamp=None)


def load(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    call_command("import_occurrences", str(path), "--project=Vermont", "--format=json", *options)
    plan: dict[str, Any] = json.loads(capsys.readouterr().out)
    return plan


def skipped(plan: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["name"], one["reason"]) for one in plan["entries"] if one["outcome"] == "skipped"]


ALWAYS = [
    ("Actias luna", ABSENT),
    ("x" * 300, "has a name that must be at most 255 characters long"),
    ("Noctua pronuba", SHARED_PICTURE),
    ("Actias luna", SHARED_PICTURE),
    ("Actias luna", NO_OWN_PICTURE),
]
ON_DEMAND = [*[("Actias luna (Linnaeus, 1758)", NO_BOX)] * 2, ("Noctua pronuba", NO_BOX)]


@pytest.mark.usefixtures("garden")
def test_occurrences_of_gbif_are_kept_on_demand_only(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = load(archive, capsys)
    assert sorted(skipped(plan)) == sorted([*ALWAYS, *ON_DEMAND])
    assert (plan["without_box"], plan["could_be_whole"]) == (6, True)
    assert not Occurrence.objects.exists()

    plan = load(archive, capsys, "--boxes=whole")
    assert sorted(skipped(plan)) == sorted(ALWAYS)
    assert "could_be_whole" not in plan
    first, second = Occurrence.objects.order_by("pk")
    pictures = [one.source_image.path for one in first.detections.order_by("pk")]
    assert pictures == ["1.jpg", "2.jpg"]
    assert {tuple(one.bbox or ()) for one in Detection.objects.all()} == {(0, 0, 400, 300)}
    said = Identification.objects.get()
    assert (said.occurrence, said.comment) == (first, "Ada Lovelace")
    assert said.taxon == first.determination
    assert Classification.objects.get().detection == second.detections.get()
    assert str(second.determination) == "Noctua pronuba"
    again = load(archive, capsys, "--boxes=whole")
    assert not again["written"]


@pytest.mark.usefixtures("project")
def test_size_of_the_picture_is_needed(archive: Path) -> None:
    with pytest.raises(CommandError, match="whose size is not known"):
        call_command("import_occurrences", str(archive), "--project=Vermont", "--boxes=whole")
    assert not Occurrence.objects.exists()


def test_page_and_command_name_the_option(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("import_occurrences", str(archive), "--project=Vermont")
    told = capsys.readouterr().out
    assert "6 observations have no box and are left out" in told
    assert "(--boxes whole), one that is alone on its picture gets a box" in told


def test_observation_of_a_package_is_kept_with_its_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = Path(shutil.copytree(SAMPLES / "camtrap_dp", tmp_path / "package"))
    path = package / "observations.csv"
    path.write_text(path.read_text().replace("o7,d1,m2", "o7,d1,m1"))
    size = '"{""ImageWidth"": 4096, ""ImageHeight"": 2160}"'
    media = package / "media.csv"
    media.write_text(media.read_text().replace("2.jpg,image/jpeg,", f"2.jpg,image/jpeg,{size}"))
    assert ("Noctua pronuba", NO_BOX) in skipped(load(package, capsys, "--boxes=fractions"))
    load(package, capsys, "--boxes=whole")
    whole = Detection.objects.get(bbox=[0, 0, 4096, 2160])
    assert whole.occurrence
    assert whole.occurrence.identifications.get().comment == "Grace Hopper"


def test_annotation_of_coco_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((SAMPLES / "coco_camera_traps.json").read_text())
    number = next(
        number
        for number, one in enumerate(document["annotations"])
        if not {"bbox", "bbox_relative"} & one.keys() and one["category_id"] not in (0, "0")
    )
    one = document["annotations"][number]
    image = next(each for each in document["images"] if each["id"] == one["image_id"])
    image |= {"width": 640, "height": 480}
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document))
    load(path, capsys, "--boxes=whole")
    assert Detection.objects.filter(bbox=[0, 0, 640, 480]).count() == 1
