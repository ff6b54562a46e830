"""Name lists that are Darwin Core Archives, as checklists of GBIF are."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ami.base.tests.snapshots import snapshot
from ami.exchange.base import ImportRefusedError
from ami.exchange.name_lists.base import ListedName
from ami.exchange.name_lists.reading import read_name_list
from ami.exchange.reading.registry import NAME_LIST, format_of
from ami.exchange.tests.name_lists import person
from ami.exchange.tests.test_import_taxa import import_file, lineage
from ami.exchange.tests.test_name_lists import DARWIN_CORE
from ami.exchange.tests.uploads import apply, page_of, upload
from ami.jobs.models import Job
from ami.jobs.states import JobState
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import Project, TaxaList, Taxon

__all__ = ["person"]
pytestmark = pytest.mark.django_db

# A checklist whose tree is told by ids, with a loop in it.
TREE = """\
taxonID,scientificName,acceptedNameUsageID,taxonRank,taxonomicStatus,parentNameUsageID
1,Lepidoptera,,order,accepted,
2,"Noctuidae Latreille, 1809",,family,accepted,1
3,"Noctua Linnaeus, 1758",,genus,accepted,2
4,"Noctua pronuba (Linnaeus, 1758)",,species,accepted,3
5,Noctua innuba,4,species,synonym,
6,Loopia,,genus,accepted,7
7,Loopidae,,family,accepted,6
"""


def meta_of(table: str) -> str:
    header = table.partition("\n")[0].split(",")
    fields = "".join(
        f'<field index="{index}" term="http://rs.tdwg.org/dwc/terms/{name}"/>'
        for index, name in enumerate(header)
    )
    return f"""<archive xmlns="http://rs.tdwg.org/dwc/text/">
      <core rowType="http://rs.tdwg.org/dwc/terms/Taxon" ignoreHeaderLines="1">
        <files><location>taxon.csv</location></files><id index="0"/>{fields}
      </core>
    </archive>"""


def packed(path: Path, table: str, *, below: str = "", how: int = ZIP_DEFLATED) -> Path:
    with ZipFile(path, "w", how) as archive:
        archive.writestr(f"{below}meta.xml", meta_of(table))
        archive.writestr(f"{below}taxon.csv", table)
    return path


def unpacked(path: Path, table: str) -> Path:
    path.mkdir()
    (path / "meta.xml").write_text(meta_of(table))
    (path / "taxon.csv").write_text(table)
    return path


MAKERS: dict[str, Callable[[Path, str], Path]] = {
    "zip": lambda folder, table: packed(folder / "a.zip", table),
    "folder in a zip": lambda folder, table: packed(folder / "a.zip", table, below="backbone/"),
    "folder": lambda folder, table: unpacked(folder / "a", table),
    "description": lambda folder, table: unpacked(folder / "a", table) / "meta.xml",
}


def without_place(names: list[ListedName]) -> list[ListedName]:
    return [one._replace(place="") for one in names]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("table", [DARWIN_CORE, TREE])
def test_archive_is_read_as_its_table_is(kind: str, table: str, tmp_path: Path) -> None:
    path = MAKERS[kind](tmp_path, table)
    assert format_of(path) is NAME_LIST
    (tmp_path / "table.csv").write_text(table)
    found, expected = read_name_list(path), read_name_list(tmp_path / "table.csv")
    assert without_place(found.names) == without_place(expected.names)
    assert found.names[0].place == "taxon.csv, line 2"
    assert [one.name for one in found.skipped] == [one.name for one in expected.skipped]


def test_import_is_a_plan_and_then_changes_nothing(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", DARWIN_CORE)
    assert "Created" in import_file(path, "--dry-run")
    assert not Taxon.objects.exists()
    import_file(path)
    assert Taxon.objects.get(name="Noctua pronuba").gbif_taxon_key == 2
    before = snapshot(Taxon, TaxaList)
    assert "nothing was changed" in import_file(path)
    assert snapshot(Taxon, TaxaList) == before


def test_parents_are_found_by_id(tmp_path: Path) -> None:
    import_file(packed(tmp_path / "a.zip", TREE))
    assert lineage("Noctua pronuba") == ["Noctua", "Noctuidae", "Lepidoptera"]
    synonym = Taxon.objects.get(name="Noctua innuba").synonym_of
    assert synonym == Taxon.objects.get(name="Noctua pronuba")
    assert lineage("Loopia") == ["Loopidae"]
    assert lineage("Loopidae") == []


@pytest.mark.usefixtures("own_folder")
def test_upload_is_planned_and_applied(signed_in: Client, project: Project, tmp_path: Path) -> None:
    content: Any = packed(tmp_path / "a.zip", TREE).read_bytes()
    fields = {"name": "backbone.zip", "list_name": "Moths"}
    assert (
        "Name the taxa list that gets it"
        in upload(signed_in, content, project, name="backbone.zip").text
    )
    assert upload(signed_in, content, project, **fields).status_code == 302
    job = run_to_end(Job.objects.get())
    assert "Nothing has been written yet." in page_of(signed_in, job)
    apply(signed_in, job)
    assert run_to_end(Job.objects.latest("pk")).status == JobState.SUCCESS
    assert TaxaList.objects.get().taxa.filter(name="Noctua pronuba").exists()


def test_what_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path / "a.zip", TREE)
    with pytest.raises(CommandError, match=r"is a name list\. Import it with import_taxa\."):
        call_command("import_occurrences", str(path), "--project=Vermont")
    nameless = packed(tmp_path / "b.zip", TREE.replace("scientificName", "remarks"))
    with pytest.raises(CommandError, match="is an archive of taxa without scientificName"):
        import_file(nameless)
    monkeypatch.setattr("ami.exchange.name_lists.reading.MOST_ROWS", 2)
    with pytest.raises(CommandError, match=r"a\.zip has more than 2 rows\. Divide it\."):
        import_file(path)


@given(data=st.data())
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_archive_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    how = data.draw(st.sampled_from([ZIP_STORED, ZIP_DEFLATED]))
    whole = packed(tmp_path / "a.zip", TREE, how=how).read_bytes()
    place = data.draw(st.integers(0, len(whole)))
    noise = data.draw(st.binary(min_size=1, max_size=12))
    path = tmp_path / "damaged.zip"
    path.write_bytes(whole[:place] + noise + whole[place + len(noise) :])
    with suppress(ImportRefusedError):
        format_of(path)
        read_name_list(path)
