"""A copy of an Antenna database: speed and memory."""

from django.db import connection

from ami.exchange.antenna_database.run import Options, copy_antenna
from ami.exchange.tests.antenna import made_antenna
from ami.main.models import Detection
from benchmarks import databases
from benchmarks.memory import measure
from benchmarks.report import Figure
from benchmarks.timing import timed

TITLE = "Copy of an Antenna database"
DETECTIONS = 1_400_000
LEAST_PER_SECOND = 5_000  # of CPU time
MOST_MEMORY = 300
DAYS = 200

# Captures of ten detections, and occurrences of two. Every tenth classification has scores and
# logits, every fifth was superseded, and every hundredth detection has a vector.
ROWS = """
INSERT INTO users_user (id, password, is_superuser, is_staff, is_active, date_joined, name, email)
SELECT u, '', false, false, true, now(), 'Person ' || u, 'person-' || u || '@example.org'
FROM generate_series(1, 10) u;
INSERT INTO main_project (id, created_at, updated_at, name, description, owner_id, draft,
                          feature_flags, active, priority)
VALUES (1, now(), now(), 'Large', '', 1, false, '{{}}', true, 1);
INSERT INTO main_userprojectmembership (created_at, updated_at, project_id, user_id)
SELECT now(), now(), 1, u FROM generate_series(1, 10) u;
INSERT INTO main_taxon (id, created_at, updated_at, name, rank, parents_json, active, notes, author)
SELECT t, now(), now(), 'Speciosa ' || translate(t::text, '0123456789', 'abcdefghij') || 'us',
       'SPECIES', '[]', true, '', '' FROM generate_series(1, 5000) t;
INSERT INTO ml_algorithmcategorymap (id, created_at, updated_at, data, labels)
SELECT 1, now(), now(), jsonb_agg(jsonb_build_object('index', id - 1, 'label', name) ORDER BY id),
       array_agg(name ORDER BY id) FROM main_taxon WHERE id <= 100;
INSERT INTO ml_algorithm (id, created_at, updated_at, name, key, task_type, description, version,
                          category_map_id)
VALUES (1, now(), now(), 'Detector', 'detector', 'localization', '', 1, NULL),
       (2, now(), now(), 'Moths', 'moths', 'classification', '', 1, 1),
       (3, now(), now(), 'Masking', 'masking', 'unknown', '', 1, NULL);
INSERT INTO main_deployment (id, created_at, updated_at, name, description, project_id)
SELECT d, now(), now(), 'Trap ' || d, '', 1 FROM generate_series(1, 10) d;
INSERT INTO main_event (id, created_at, updated_at, group_by, start, project_id, deployment_id)
SELECT e, now(), now(), to_char(night, 'YYYY-MM-DD'), night, 1, 1 + e % 10
FROM generate_series(1, {days} * 10) e,
     LATERAL (SELECT timestamptz '2022-01-01 21:00-05' + e / 10 * interval '1 day' AS night) n;
INSERT INTO main_sourceimage (id, created_at, updated_at, path, public_base_url, timestamp, width,
                              height, test_image, project_id, deployment_id, event_id)
SELECT c, now(), now(), c || '.jpg', 'https://images.example.org/',
       e.start + c % 360 * interval '1 minute', 4096, 2160, false, 1, e.deployment_id, e.id
FROM generate_series(1, {detections} / 10) c
JOIN main_event e ON e.id = 1 + c * ({days} * 10 - 1) / ({detections} / 10);
INSERT INTO main_occurrence (id, created_at, updated_at, determination_id, determination_score,
                             event_id, deployment_id, project_id)
SELECT o, now(), now(), 1 + o % 5000, 0.75, s.event_id, s.deployment_id, 1
FROM generate_series(1, {detections} / 2) o JOIN main_sourceimage s ON s.id = 1 + (o - 1) / 5;
INSERT INTO main_detection (id, created_at, updated_at, source_image_id, bbox, timestamp, path,
                            occurrence_id, detection_algorithm_id, detection_score,
                            similarity_vector)
SELECT d, now(), now(), s.id, jsonb_build_array(d % 4000, d % 2000, d % 4000 + 90, d % 2000 + 60.5),
       s.timestamp, 'crops/' || d || '.jpg', 1 + (d - 1) / 2, 1, 0.9,
       CASE WHEN d % 100 = 0 THEN (SELECT jsonb_agg(random()) FROM generate_series(1, 512)
                                   WHERE d IS NOT NULL) END
FROM generate_series(1, {detections}) d JOIN main_sourceimage s ON s.id = 1 + (d - 1) / 10;
INSERT INTO main_classification (id, created_at, updated_at, detection_id, taxon_id, score,
                                 timestamp, terminal, logits, scores, category_map_id,
                                 algorithm_id, applied_to_id)
SELECT d, now(), now(), d, 1 + (1 + (d - 1) / 2) % 5000, 0.75, now(), d % 5 <> 0,
       CASE WHEN d % 10 = 0 THEN vector END, CASE WHEN d % 10 = 0 THEN vector END, 1, 2, NULL
FROM generate_series(1, {detections}) d,
     (SELECT array_agg(random()) AS vector FROM generate_series(1, 100)) v
UNION ALL
SELECT {detections} + d / 5, now(), now(), d, 1 + (1 + (d - 1) / 2) % 5000, 0.75, now(), true,
       NULL, NULL, 1, 3, d
FROM generate_series(5, {detections}, 5) d;
INSERT INTO main_identification (id, created_at, updated_at, user_id, taxon_id, occurrence_id,
                                 withdrawn, comment)
SELECT i, now(), now(), 1 + i % 10, 1 + i % 5000, i * 100, false, ''
FROM generate_series(1, {detections} / 200) i;
INSERT INTO main_sourceimagecollection (id, created_at, updated_at, name, description, project_id,
                                        method, kwargs)
VALUES (1, now(), now(), 'All', '', 1, 'full', '{{}}');
INSERT INTO main_sourceimagecollection_images (sourceimagecollection_id, sourceimage_id)
SELECT 1, id FROM main_sourceimage;
ANALYZE
"""


def run(*, quick: bool) -> list[Figure]:
    figures = []
    for detections in [2_000] if quick else [DETECTIONS // 10, DETECTIONS]:
        figures += _figures(detections)
    return figures


def _figures(detections: int) -> list[Figure]:
    empty = databases.empty()
    with made_antenna() as antenna:
        antenna.execute(ROWS.format(detections=detections, days=DAYS))
        with databases.copied(empty):
            seconds = timed(lambda: _copy(antenna.dsn))
            copied = Detection.objects.count()
            own = connection.settings_dict["NAME"]
        with databases.copied(empty):
            memory, _ = measure("antenna", own, antenna.dsn)
    assert copied == detections
    name = f"{detections:,} detections"
    least = LEAST_PER_SECOND if detections > DETECTIONS // 100 else None
    return [
        Figure(f"{name}: time", seconds, "s"),
        Figure(f"{name}: CPU without the source", seconds.cpu, "s"),
        Figure(f"{name}: per CPU second", detections / seconds.cpu, at_least=least),
        Figure(f"{name}: peak memory", memory / 2**20, "MB", at_most=MOST_MEMORY),
    ]


def run_task(dsn: str) -> None:
    """Copy the database at `dsn` into the one in use."""
    _copy(dsn)


def _copy(dsn: str) -> None:
    copy_antenna(dsn, Options(time_zone="America/Montreal"))
