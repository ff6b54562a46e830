# ruff: noqa: S608  (composed of constants)
"""The statements of :mod:`ami.main.management.scale`.

The rows of every table are numbered from 0, and the parents of a row are computed from its number,
without a look-up: capture 2150 is in night 21, deployment 1, project 0. `%(captures)s` is the
number of rows of a table, and `%(capture)s` is the id of its first row.
"""

# Twelve species per genus; every third one has two search names.
TAXA = """
INSERT INTO main_taxon (
    created_at, updated_at, name, rank, active, identifiable, search_names, notes)
SELECT now(), now(), initcap(left(md5((t / 12)::text), 9)) || ' ' || left(md5(t::text), 9) || t,
       'SPECIES', true, true,
       CASE WHEN mod(t, 3) = 0
            THEN ARRAY['Common moth ' || t, 'Former name ' || left(md5(t::text), 9)]
            ELSE '{}' END, ''
FROM generate_series(1, %(taxa)s) t
ON CONFLICT DO NOTHING
"""

PROJECTS = """
INSERT INTO main_project (id, created_at, updated_at, name)
SELECT %(project)s + p, now(), now(), 'Seeded project ' || p + 1
FROM generate_series(0, %(projects)s - 1) p
"""

DEPLOYMENTS = """
INSERT INTO main_deployment (
    id, created_at, updated_at, project_id, name, description, latitude, longitude, time_zone,
    events_count, captures_count, detections_count, occurrences_count)
SELECT %(deployment)s + d, now(), now(), %(project)s + d / 5, 'Seeded trap ' || d + 1, '',
       45, -73, 'America/Montreal', 0, 0, 0, 0
FROM generate_series(0, %(deployments)s - 1) d
"""

# Nights of 100 captures, every five minutes from 21:00.
NIGHTS = """
INSERT INTO main_event (
    id, created_at, updated_at, project_id, deployment_id, group_by, start, "end",
    captures_count, detections_count, occurrences_count)
SELECT %(night)s + n, now(), now(), %(project)s + n / 100, %(deployment)s + n / 20,
       to_char(evening AT TIME ZONE 'America/Montreal', 'YYYY-MM-DD'),
       evening, evening + interval '495 minutes', 0, 0, 0
FROM generate_series(0, %(nights)s - 1) n,
     LATERAL (SELECT timestamptz '2022-06-01 21:00-04' + mod(n, 20) * interval '1 day' evening) e
"""

CAPTURES = """
INSERT INTO main_sourceimage (
    id, created_at, updated_at, project_id, deployment_id, event_id, path, timestamp,
    width, height, detections_count)
SELECT %(capture)s + c, now(), now(), %(project)s + c / 10000, %(deployment)s + c / 2000, e.id,
       format('seed/%%s/%%s.jpg', c / 100, mod(c, 100)),
       e.start + mod(c, 100) * interval '5 minutes', 4096, 2160, 0
FROM generate_series(0, %(captures)s - 1) c
JOIN main_event e ON e.id = %(night)s + c / 100
"""

OCCURRENCES = """
INSERT INTO main_occurrence (id, created_at, updated_at, project_id, deployment_id, event_id)
SELECT %(occurrence)s + o, now(), now(), %(project)s + c / 10000, %(deployment)s + c / 2000,
       %(night)s + c / 100
FROM generate_series(0, %(occurrences)s - 1) o,
     LATERAL (SELECT o::bigint * %(captures)s / %(occurrences)s AS c) first_seen
"""

# Each occurrence has one detection. The others are distributed by the hundred: ten occurrences get
# 1, 3, 5, … 19 more, on the next captures of the night. Every tenth box is below 0.0008 of the
# frame.
DETECTIONS = """
INSERT INTO main_detection (
    id, created_at, updated_at, source_image_id, occurrence_id, bbox, timestamp, path,
    detection_score, detection_algorithm_id)
SELECT %(detection)s + d, now(), now(), s.id, %(occurrence)s + o,
       ARRAY[x, y, x + side, y + side], s.timestamp, format('seed/crops/%%s.jpg', d),
       0.5 + random() / 2, %(detector)s
FROM (
    SELECT o AS d, o::bigint AS o, 0 AS later FROM generate_series(0, %(occurrences)s - 1) o
    UNION ALL
    SELECT %(occurrences)s + j,
           (j / 100 * 10 + track) * %(occurrences)s::bigint / %(tracks)s,
           mod(j, 100) - track * track + 1
    FROM generate_series(0, %(detections)s - %(occurrences)s - 1) j,
         LATERAL (SELECT floor(sqrt(mod(j, 100)))::int AS track) t
) placed,
LATERAL (SELECT o * %(captures)s / %(occurrences)s AS c) first_seen,
LATERAL (SELECT c - mod(c, 100) AS night, least(100, %(captures)s - c + mod(c, 100)) AS length) n,
LATERAL (SELECT floor(random() * 3600) AS x, floor(random() * 1700) AS y,
                CASE mod(d, 10) WHEN 7 THEN 30 + floor(random() * 50)
                                ELSE 100 + floor(random() * 300) END AS side) box
JOIN main_sourceimage s ON true
WHERE s.id = %(capture)s + night + mod(c - night + later, length)
"""

# A later run has superseded the first classification of every n-th detection.
SUPERSEDED = "mod(d * %(superseding)s, %(detections)s) >= %(detections)s - %(superseding)s"

# Some species are common, and the predictions of one occurrence mostly agree.
SPECIES = """(%(species)s::bigint[])[1 + floor(100 * power(mod(
    CASE WHEN random() < 0.9 THEN occurrence_id ELSE id END * 7919, 1000) / 1000.0, 2))::int]"""

FIRST_CLASSIFICATIONS = f"""
INSERT INTO main_classification (
    id, created_at, updated_at, detection_id, taxon_id, score, scores, logits, terminal,
    timestamp, algorithm_id, category_map_id, metadata)
SELECT %(classification)s + d, now(), now(), id, {SPECIES}, random(),
       CASE WHEN mod(d, 50) = 0 THEN ARRAY(
           SELECT random() FROM generate_series(1, 100) WHERE d IS NOT NULL) END,
       CASE WHEN mod(d, 50) = 0 THEN ARRAY(
           SELECT 20 * random() - 10 FROM generate_series(1, 100) WHERE d IS NOT NULL) END,
       NOT {SUPERSEDED}, timestamp + interval '1 day', %(classifier)s, %(category_map)s, '{{}}'
FROM (SELECT *, id - %(detection)s AS d FROM main_detection WHERE id >= %(detection)s) detection
"""

SUPERSEDING_CLASSIFICATIONS = f"""
INSERT INTO main_classification (
    id, created_at, updated_at, detection_id, taxon_id, score, terminal, timestamp,
    algorithm_id, category_map_id, applied_to_id, job_id, metadata)
SELECT %(classification)s + %(detections)s + d * %(superseding)s / %(detections)s, now(), now(),
       id, {SPECIES}, random(), true, timestamp + interval '2 days', %(masking)s,
       %(category_map)s, %(classification)s + d,
       %(job)s + (source_image_id - %(capture)s) / 2000, '{{}}'
FROM (SELECT *, id - %(detection)s AS d FROM main_detection WHERE id >= %(detection)s) detection
WHERE {SUPERSEDED}
"""

IDENTIFICATIONS = """
INSERT INTO main_identification (
    id, created_at, updated_at, user_id, taxon_id, occurrence_id, withdrawn, comment)
SELECT %(identification)s + i, now() + i * interval '1 second', now(), %(user)s,
       (%(species)s::bigint[])[1 + mod(i, 100)],
       %(occurrence)s + i::bigint * %(occurrences)s / %(identifications)s, mod(i, 10) = 9, ''
FROM generate_series(0, %(identifications)s - 1) i
"""

# One capture set per night, then one per deployment, then one per project.
NIGHT_SET = "%(capture_set)s + n + n / 20 + n / 100"
DEPLOYMENT_SET = "%(capture_set)s + least(20 * (d + 1), %(nights)s) + d + d / 5"
PROJECT_SET = (
    "%(capture_set)s + least(100 * (p + 1), %(nights)s) + least(5 * (p + 1), %(deployments)s) + p"
)

CAPTURE_SETS = f"""
INSERT INTO main_sourceimagecollection (
    id, created_at, updated_at, project_id, name, method, kwargs)
SELECT id, now(), now(), %(project)s + p, name, 'manual', '{{}}'
FROM (
    SELECT {NIGHT_SET} AS id, n / 100 AS p, 'Night ' || n + 1 AS name
    FROM generate_series(0, %(nights)s - 1) n
    UNION ALL
    SELECT {DEPLOYMENT_SET}, d / 5, 'Seeded trap ' || d + 1
    FROM generate_series(0, %(deployments)s - 1) d
    UNION ALL
    SELECT {PROJECT_SET}, p, 'Everything of seeded project ' || p + 1
    FROM generate_series(0, %(projects)s - 1) p
) capture_set
"""

CAPTURE_SET_IMAGES = f"""
INSERT INTO main_sourceimagecollection_images (sourceimagecollection_id, sourceimage_id)
SELECT capture_set, %(capture)s + c
FROM generate_series(0, %(captures)s - 1) c,
     LATERAL (SELECT c / 100 AS n, c / 2000 AS d, c / 10000 AS p) parents,
     LATERAL (VALUES ({NIGHT_SET}), ({DEPLOYMENT_SET}), ({PROJECT_SET})) sets (capture_set)
"""
