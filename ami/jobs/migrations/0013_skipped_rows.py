"""Skipped rows get a field of their own in stages and parts; they were figures by the name of
"Skipped: …".
"""

from django.db import migrations, models

PARTS = """
UPDATE jobs_jobpart SET
    skipped = (
        SELECT COALESCE(jsonb_object_agg(reason, jsonb_build_array(rows, ids)), '{}')
        FROM (
            SELECT key AS reason, value AS ids, COALESCE((
                SELECT pair -> 1 FROM jsonb_array_elements(counts) pair
                WHERE pair ->> 0 = 'Skipped: ' || key
            ), '0') AS rows
            FROM jsonb_each(skipped)
        ) told
    ),
    counts = (
        SELECT COALESCE(jsonb_agg(pair), '[]') FROM jsonb_array_elements(counts) pair
        WHERE NOT starts_with(pair ->> 0, 'Skipped: ')
    )
WHERE skipped <> '{}'
"""
STAGES = """
UPDATE jobs_job SET progress = jsonb_set(progress, '{stages}', (
    SELECT jsonb_agg(stage || jsonb_build_object(
        'params', (
            SELECT COALESCE(jsonb_agg(param), '[]') FROM jsonb_array_elements(stage -> 'params') param
            WHERE NOT starts_with(param ->> 'name', 'Skipped: ')
        ),
        'skipped', (
            SELECT COALESCE(jsonb_object_agg(substr(param ->> 'name', 10), param -> 'value'), '{}')
            FROM jsonb_array_elements(stage -> 'params') param
            WHERE starts_with(param ->> 'name', 'Skipped: ')
            AND jsonb_typeof(param -> 'value') = 'number'
        )
    ))
    FROM jsonb_array_elements(progress -> 'stages') stage
))
WHERE progress @? '$.stages[*].params[*].name ? (@ starts with "Skipped: ")'
"""


class Migration(migrations.Migration):
    dependencies = [("jobs", "0012_leave_no_job_unknown")]

    operations = [
        migrations.AlterField(
            model_name="jobpart",
            name="skipped",
            field=models.JSONField(default=dict, help_text="By reason, the rows and the first ids."),
        ),
        migrations.RunSQL(PARTS, migrations.RunSQL.noop),
        migrations.RunSQL(STAGES, migrations.RunSQL.noop),
    ]
