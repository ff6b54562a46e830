from django.db import migrations

# Instead of foreign key constraints, which are checked row by row; see docs/decisions/06.
#
# A batch of a Job may commit between Django's clearing of what names the Job and the deletion of
# its row, which has waited for the batch. What is committed by then is seen here.
DELETED = """
CREATE FUNCTION jobs_clear_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE main_classification SET job_id = NULL WHERE job_id IN (SELECT id FROM deleted);
    DELETE FROM jobs_jobchange WHERE job_id IN (SELECT id FROM deleted);
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_clear_deleted AFTER DELETE ON jobs_job
REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION jobs_clear_deleted();
"""

# Holds the Jobs until the end of the transaction. Those that are gone already, as where a revert
# restores what an old Job wrote, are not named.
WRITTEN = """
CREATE FUNCTION main_classification_known_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unknown bigint[];
BEGIN
    PERFORM FROM jobs_job
    WHERE id = ANY(ARRAY(SELECT DISTINCT job_id FROM written WHERE job_id IS NOT NULL))
    FOR KEY SHARE;
    unknown := ARRAY(
        SELECT id FROM written w
        WHERE job_id IS NOT NULL AND NOT EXISTS (SELECT FROM jobs_job j WHERE j.id = w.job_id));
    IF cardinality(unknown) > 0 THEN
        UPDATE main_classification SET job_id = NULL WHERE id = ANY(unknown);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER main_classification_known_job AFTER INSERT ON main_classification
REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION main_classification_known_job();
"""
UNDO = """
DROP TRIGGER jobs_clear_deleted ON jobs_job;
DROP FUNCTION jobs_clear_deleted();
DROP TRIGGER main_classification_known_job ON main_classification;
DROP FUNCTION main_classification_known_job();
"""


class Migration(migrations.Migration):
    """Let nothing name a Job that is deleted, whoever deletes it and however."""

    dependencies = [("jobs", "0011_journal_postgresql_15"), ("main", "0002_classification_job")]

    operations = [migrations.RunSQL(DELETED + WRITTEN, UNDO)]
