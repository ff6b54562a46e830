"""The sizes of captures are read from their pictures, wherever these lie."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError
from django.test import override_settings
from PIL import Image

from ami.base.tests.buckets import bucket_server, bucket_variables, new_bucket
from ami.exchange.importing import media as pictures
from ami.main.models import Deployment, Detection, Occurrence, SourceImage
from ami.main.pictures import ORIENTATION
from config.settings.storages import s3

pytestmark = pytest.mark.django_db
Run = Callable[..., str]


@pytest.fixture(autouse=True)
def forget() -> None:
    pictures.look.cache_clear()


def draw(path: Path, size: tuple[int, int], orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new("RGB", size).save(path, exif=exif)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of 80 × 60 pixels, the second of which is shown upright."""
    root = tmp_path / "captures"
    draw(root / "night" / "a b.jpg", (80, 60))
    draw(root / "night" / "c.jpg", (80, 60), orientation=6)
    draw(tmp_path / "secret.jpg", (7, 7))
    (root / "broken.jpg").write_bytes(b"no picture")
    return root


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with bucket_server() as url:
        yield url


@pytest.fixture
def bucket(moto: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in bucket_variables(moto, "elsewhere").items():
        monkeypatch.setenv(name, value)
    with new_bucket(moto, "frames") as client:
        for path in filter(Path.is_file, folder.rglob("*")):
            client.upload_file(str(path), "frames", f"2022/{path.relative_to(folder)}")
        with override_settings(STORAGES=settings.STORAGES | s3()):
            yield "s3://frames/2022/"


@pytest.fixture(params=["folder", "server", "bucket"])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def document(*paths: str) -> dict[str, Any]:
    """Results of MegaDetector, with one box in shares on each picture."""
    box = {"category": "1", "conf": 0.9, "bbox": [0.25, 0.5, 0.5, 0.25]}
    return {
        "info": {"format_version": "1.6"},
        "detection_categories": {"1": "animal"},
        "images": [{"file": path, "detections": [box]} for path in paths],
    }


@pytest.fixture
def load(import_export: Run) -> Run:
    return partial(import_export, deployment="Trap")


def boxes() -> dict[str, Any]:
    rows = Detection.objects.select_related("source_image")
    return {row.source_image.path: row.bbox for row in rows}


def sizes() -> dict[str, Any]:
    return {row.path: (row.width, row.height) for row in SourceImage.objects.all()}


def test_shares_become_pixels_of_the_upright_picture(load: Run, place: str) -> None:
    load(document("night/a b.jpg", "night/c.jpg"), media=place)
    assert sizes() == {"night/a b.jpg": (80, 60), "night/c.jpg": (60, 80)}
    assert boxes() == {"night/a b.jpg": [20, 30, 60, 45], "night/c.jpg": [15, 40, 45, 60]}


def test_single_pictures_that_are_missing_are_listed_with_their_place(
    load: Run, place: str
) -> None:
    paths = ("night/c.jpg", "night/gone.jpg", "broken.jpg", "../secret.jpg")
    told = json.loads(load(document(*paths), media=place, format="json"))
    assert list(boxes()) == ["night/c.jpg"]
    assert sizes() == dict.fromkeys(paths, (None, None)) | {"night/c.jpg": (60, 80)}
    assert Occurrence.objects.count() == 1
    entries = [one for one in told["entries"] if one["outcome"] in {"contradiction", "skipped"}]
    assert [(one["outcome"], one["place"]) for one in entries] == [
        (outcome, f"images[{number}].detections[0]")
        for outcome in ("contradiction", "skipped")
        for number in (1, 2, 3)
    ]
    reasons = [one["reason"].partition("the picture ")[2] for one in entries[:3]]
    assert reasons[1:] == ["cannot be read.", "lies outside the folder."]
    assert reasons[0].startswith(("was not found", "cannot be read from the bucket"))
    again = json.loads(load(document(*paths), media=place, format="json"))
    assert again["counts"]["created"] == again["counts"]["changed"] == {}


def test_a_later_import_with_media_fills_the_sizes_in(load: Run, folder: Path) -> None:
    empty = {"file": "night/c.jpg", "detections": []}
    data = document() | {"images": [empty]}
    load(data)
    assert sizes() == {"night/c.jpg": (None, None)}
    assert "Changed: 1 capture" in load(data, media=str(folder))
    assert sizes() == {"night/c.jpg": (60, 80)}
    assert "already contains all rows" in load(data, media=str(folder))


def test_the_size_of_the_file_or_the_database_is_kept(load: Run, folder: Path) -> None:
    data = document("night/c.jpg")
    data["images"][0] |= {"width": 600, "height": 800}
    load(data, media=str(folder))
    del data["images"][0]["width"], data["images"][0]["height"]
    load(data, media=str(folder))
    assert sizes() == {"night/c.jpg": (600, 800)}
    assert boxes() == {"night/c.jpg": [150, 400, 450, 600]}


def test_a_path_that_is_an_address_needs_no_media(load: Run, server: str) -> None:
    load(document(f"{server}/night/a b.jpg"))
    assert list(sizes().values()) == [(80, 60)]


def test_only_the_beginning_of_a_large_picture_is_fetched(
    load: Run, server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(folder / "large.bmp", (3000, 2000))
    read: list[int] = []
    original = pictures._size
    monkeypatch.setattr(
        pictures,
        "_size",
        lambda head: read.append(len(head.getbuffer())) or original(head),  # type: ignore[func-returns-value]
    )
    load(document("large.bmp"), media=server)
    assert list(sizes().values()) == [(3000, 2000)]
    assert set(read) == {pictures.HEADS[0]}


def test_a_size_far_behind_the_beginning_is_found(load: Run, server: str, folder: Path) -> None:
    path = folder / "night" / "a b.jpg"
    content = path.read_bytes()
    comment = b"\xff\xfe\xff\xff" + b" " * 65533
    path.write_bytes(content[:2] + comment * 5 + content[2:])
    load(document("night/a b.jpg"), media=server)
    assert list(sizes().values()) == [(80, 60)]


def refused(load: Run, data: Any, media: str) -> str:
    with pytest.raises(CommandError) as raised:
        load(data, media=media)
    assert not SourceImage.objects.exists()
    assert not Deployment.objects.exists()
    return str(raised.value)


def test_a_folder_that_cannot_be_read_is_refused(load: Run, folder: Path) -> None:
    for wrong in (folder / "none", folder / "broken.jpg"):
        told = refused(load, document("night/c.jpg"), str(wrong))
        assert told.startswith(f"--media: cannot read the folder {wrong}: No")
        assert len(told.splitlines()) == 1


def test_a_server_that_does_not_answer_is_refused(load: Run) -> None:
    told = refused(load, document("night/c.jpg"), "http://127.0.0.1:9/frames")
    assert told.startswith("--media: http://127.0.0.1:9/frames does not answer: ")
    assert "address is not valid" not in told
    assert "does not answer" in refused(load, document("c.jpg"), "http://[broken/")


@pytest.mark.parametrize(
    ("media", "sentence"),
    [
        ("s3://nowhere/2022", "--media: cannot read the bucket nowhere: "),
        ("s3://frames/1999", "--media: the bucket frames has no files below '1999/'."),
        ("s3://", "--media: cannot read the bucket : "),
    ],
)
def test_a_bucket_that_cannot_be_read_is_refused(
    load: Run, bucket: str, media: str, sentence: str
) -> None:
    assert refused(load, document("c.jpg"), media).startswith(sentence)


def test_a_bucket_needs_the_storage_of_the_settings(load: Run) -> None:
    assert "S3_BUCKET" not in os.environ
    assert refused(load, document("c.jpg"), "s3://frames") == (
        "--media: s3:// needs the object storage of the settings: install ami[s3], and set "
        "S3_BUCKET and its key."
    )


def test_the_wrong_place_is_refused(load: Run, place: str) -> None:
    told = refused(load, document("night/1.jpg", "night/2.jpg"), place)
    assert told.startswith(
        "images[0].detections[0]: none of the pictures was found, for example: the picture "
        "'night/1.jpg' "
    )
    assert "--media" in told


def test_links_do_not_leave_the_folder(load: Run, folder: Path) -> None:
    (folder / "link.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    load(document("link.jpg", "loop.jpg", "night/c.jpg", "x" * 300), media=str(folder))
    assert list(boxes()) == ["night/c.jpg"]
