-- Two projects of Antenna. The server's time zone is America/New_York; the times of cameras are
-- what their clocks showed.
SET timezone = 'America/New_York';
INSERT INTO users_user (id, password, is_superuser, is_staff, is_active, date_joined, name, email)
VALUES (11, 'argon2$secret', true, true, true, now(), 'Ada', 'ada@example.org'),
       (12, 'argon2$secret', false, false, true, now(), 'Ben', 'ben@example.org'),
       (13, 'argon2$secret', false, false, true, now(), 'Cy', 'cy@example.org'),
       (14, 'argon2$secret', false, false, true, now(), 'No member', 'nobody@example.org');
INSERT INTO main_project (id, created_at, updated_at, name, description, owner_id, draft,
                          feature_flags, active, priority)
VALUES (21, '2023-01-02 03:04', '2023-02-03 04:05', 'Vermont', '', 11, false, '{}', true, 1),
       (22, '2023-01-02 03:04', '2023-02-03 04:05', 'Panama', '', NULL, false, '{}', true, 1);
INSERT INTO auth_group (id, name)
VALUES (1, '21_Vermont_ProjectManager'), (2, '21_Vermont_Identifier'), (3, '22_Panama_BasicMember'),
       (4, '22_Panama_MLDataManager'), (5, '221_Other_ProjectManager');
INSERT INTO users_user_groups (user_id, group_id) VALUES (11, 1), (11, 2), (12, 2), (12, 4), (13, 5);
INSERT INTO main_userprojectmembership (created_at, updated_at, project_id, user_id)
VALUES (now(), now(), 21, 11), (now(), now(), 21, 12), (now(), now(), 21, 12),
       (now(), now(), 22, 12), (now(), now(), 22, 13);
INSERT INTO ml_algorithmcategorymap (id, created_at, updated_at, data, labels, version)
VALUES (31, now(), now(), '[{"index": 0, "label": "Noctua pronuba"},
                            {"index": 1, "label": "Actias luna"}]',
        '{Noctua pronuba,Actias luna}', NULL),
       (32, now(), now(), '[{"index": 0, "label": "Morpho"}]', '{Morpho}', '2');
INSERT INTO ml_algorithm (id, created_at, updated_at, name, key, task_type, description, version,
                          category_map_id)
VALUES (41, now(), now(), 'Moths', 'moths-1', 'classification', '', 1, 31),
       (42, now(), now(), 'Detector', 'detector-1', 'localization', '', 1, NULL),
       (43, now(), now(), 'Masking', 'masking-1', 'tagging', '', 1, NULL),
       (44, now(), now(), 'Tropics', 'tropics-1', NULL, '', 1, 32);
INSERT INTO main_taxon (id, created_at, updated_at, name, rank, parent_id, parents_json, active,
                        synonym_of_id, search_names, gbif_taxon_key, notes, author)
VALUES (59, now(), now(), 'Lepidoptera', 'ORDER', NULL, '[]', true, NULL, NULL, 797, '', ''),
       (58, now(), now(), 'Noctua', 'GENUS', 59, '[]', true, NULL, NULL, NULL, '', ''),
       (51, now(), now(), 'Noctua pronuba', 'SPECIES', 58, '[]', true, NULL,
        '{Large yellow underwing}', 1, 'common', ''),
       (52, now(), now(), 'Actias luna', 'SPECIES', 59, '[]', true, NULL, '{}', 2, '', ''),
       (53, now(), now(), 'Triphaena pronuba', 'SPECIES', NULL, '[]', false, 51, NULL, 3, '', ''),
       (54, now(), now(), 'Not identifiable', 'UNKNOWN', NULL, '[]', true, NULL, NULL, NULL, '', ''),
       (55, now(), now(), 'Morpho', 'GENUS', 59, '[]', true, NULL, NULL, NULL, '', '');
INSERT INTO main_taxon_projects (taxon_id, project_id) VALUES (51, 21), (52, 21), (55, 22);
INSERT INTO main_taxalist (id, created_at, updated_at, name, description)
VALUES (61, now(), now(), 'Vermont moths', ''), (62, now(), now(), 'Tropics', '');
INSERT INTO main_taxalist_taxa (taxalist_id, taxon_id) VALUES (61, 51), (61, 53), (62, 55);
INSERT INTO main_taxalist_projects (taxalist_id, project_id) VALUES (61, 21), (62, 22);
INSERT INTO main_deployment (id, created_at, updated_at, name, description, latitude, longitude,
                             project_id)
VALUES (71, now(), now(), 'Trap A', 'On the hill', 44.5, -72.5, 21),
       (72, now(), now(), 'Canopy', '', 9.1, -79.8, 22);
INSERT INTO main_event (id, created_at, updated_at, group_by, start, "end", project_id,
                        deployment_id)
VALUES (81, now(), now(), '2022-06-20', '2022-06-20 21:00', '2022-06-21 02:00', 21, 71),
       (82, now(), now(), '2022-06-20', '2022-06-20 19:00', NULL, 22, 72);
INSERT INTO main_sourceimage (id, created_at, updated_at, path, public_base_url, timestamp, width,
                              height, test_image, detections_count, project_id, deployment_id,
                              event_id)
VALUES (91, now(), now(), 'a/1.jpg', 'https://images.example.org/vermont/', '2022-06-20 21:00',
        4096, 2160, false, 7, 21, 71, 81),
       (92, now(), now(), '/a/2.jpg', 'https://images.example.org/vermont', '2022-06-21 02:00',
        4096, 2160, false, NULL, 21, 71, 81),
       (93, now(), now(), 'b/1.jpg', NULL, '2022-06-20 19:00', NULL, NULL, false, 1, 22, 72, 82);
INSERT INTO main_occurrence (id, created_at, updated_at, determination_id, determination_score,
                             event_id, deployment_id, project_id)
VALUES (101, now(), now(), 51, 1.0, 81, 71, 21), (102, now(), now(), 52, 0.25, 81, 71, 21),
       (103, now(), now(), 55, 0.5, 82, 72, 22);
INSERT INTO main_detection (id, created_at, updated_at, source_image_id, bbox, timestamp, path,
                            occurrence_id, detection_algorithm_id, detection_score,
                            similarity_vector)
VALUES (111, now(), now(), 91, '[1, 2.5, 30, 40]', '2022-06-20 21:00', 'crops/1.jpg', 101, 42, 0.9,
        '[0.5, -1e-3, 2]'),
       (112, now(), now(), 92, '[5, 6, 70, 80]', '2022-06-21 02:00', NULL, 101, 42,
        1.0000000000000002, NULL),
       (113, now(), now(), 91, NULL, NULL, '', 102, NULL, NULL, 'null'),
       (114, now(), now(), 93, '[1, 1, 2, 2]', '2022-06-20 19:00', 'crops/4.jpg', 103, 42, 0.5,
        NULL);
-- 121 refers to a row with a higher id, and 126 belongs to no detection.
INSERT INTO main_classification (id, created_at, updated_at, detection_id, taxon_id, score,
                                 timestamp, terminal, logits, scores, category_map_id,
                                 algorithm_id, applied_to_id)
VALUES (121, now(), now(), 111, 51, 0.75, '2023-03-04 05:06', true, NULL, NULL, 31, 43, 122),
       (122, now(), now(), 111, 52, 0.5, '2023-03-04 05:00', false, '{1,2}', '{0.5,0.25}', 31, 41,
        NULL),
       (123, now(), now(), 112, 52, 0.5, '2023-03-04 05:00', true, NULL, NULL, 31, 41, NULL),
       (124, now(), now(), 113, 52, 0.25, '2023-03-04 05:00', true, NULL, NULL, 31, 41, 126),
       (125, now(), now(), 114, 55, 0.5, '2023-03-04 05:00', true, NULL, NULL, 32, 44, NULL),
       (126, now(), now(), NULL, 52, 0.5, '2023-03-04 05:00', true, NULL, NULL, 31, 41, NULL);
INSERT INTO main_identification (id, created_at, updated_at, user_id, taxon_id, occurrence_id,
                                 withdrawn, agreed_with_identification_id,
                                 agreed_with_prediction_id, comment)
VALUES (131, '2023-05-01 10:00', now(), 12, 51, 101, false, NULL, 121, 'sure'),
       (132, '2023-05-02 10:00', now(), 11, 51, 101, false, 131, NULL, ''),
       (133, '2023-05-02 10:00', now(), 11, 54, 102, true, NULL, NULL, '');
INSERT INTO main_sourceimagecollection (id, created_at, updated_at, name, description, project_id,
                                        method, kwargs)
VALUES (141, now(), now(), 'All', '', 21, 'full', NULL),
       (142, now(), now(), 'Every hour', '', 21, 'interval', '{"minute_interval": 60}');
INSERT INTO main_sourceimagecollection_images (sourceimagecollection_id, sourceimage_id)
VALUES (141, 91), (141, 92), (142, 92);
RESET timezone;
