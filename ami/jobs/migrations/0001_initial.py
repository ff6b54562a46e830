import ami.jobs.progress
import django.db.models.deletion
import django.db.models.fields.json
import django.db.models.lookups
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Basis',
            fields=[
                ('digest', models.CharField(help_text='SHA-256 of the value.', max_length=64, primary_key=True, serialize=False)),
                ('value', models.JSONField()),
                ('used_at', models.DateTimeField(default=django.utils.timezone.now, help_text='When a Job was last planned with it.')),
            ],
            options={
                'verbose_name_plural': 'bases',
            },
        ),
        migrations.CreateModel(
            name='Pulse',
            fields=[
                ('name', models.CharField(choices=[('tick', 'Celery beat'), ('health_check', 'Job health check')], max_length=32, primary_key=True, serialize=False)),
                ('at', models.DateTimeField(verbose_name='last heartbeat')),
            ],
            options={
                'verbose_name': 'heartbeat',
            },
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=255)),
                ('job_type_key', models.CharField(default='unknown', max_length=255, verbose_name='type')),
                ('params', models.JSONField(blank=True, default=dict, verbose_name='parameters')),
                ('dispatch_mode', models.CharField(choices=[('internal', 'Internal'), ('sync_api', 'Synchronous API'), ('async_api', 'Asynchronous API')], default='internal', editable=False, max_length=16)),
                ('launch_key', models.CharField(editable=False, help_text='Identifies the submitted form, so that submitting it twice makes one Job.', max_length=64, null=True, unique=True)),
                ('dry_run', models.BooleanField(default=False, help_text='Roll back every batch; keep only the counters and the journal.')),
                ('basis_changes', models.JSONField(default=list, editable=False, help_text='How these values had changed by the end of the Job, as sentences.')),
                ('pruned_at', models.DateTimeField(editable=False, help_text='When the parts and the journal of the Job were deleted because it was old.', null=True)),
                ('status', models.CharField(choices=[('CREATED', 'Created'), ('PENDING', 'Queued'), ('RECEIVED', 'Received'), ('STARTED', 'Running'), ('RETRY', 'Waiting to be retried'), ('PAUSED', 'Paused'), ('CANCELING', 'Canceling'), ('SUCCESS', 'Succeeded'), ('FAILURE', 'Failed'), ('REVOKED', 'Canceled'), ('UNKNOWN', 'Unknown')], default='CREATED', max_length=16)),
                ('outcome', models.CharField(blank=True, choices=[('succeeded', 'Succeeded'), ('nothing', 'Nothing to do'), ('problems', 'Succeeded with problems'), ('failed', 'Failed'), ('crashed', 'Crashed'), ('canceled', 'Canceled')], editable=False, max_length=16)),
                ('progress', ami.jobs.progress.ProgressField(default=ami.jobs.progress.JobProgress)),
                ('error', models.TextField(blank=True, help_text='Why the Job failed or had nothing to do.')),
                ('unsent', models.TextField(blank=True, editable=False, help_text="Why the broker has not taken the Job's message; empty if it has.")),
                ('task_id', models.CharField(blank=True, help_text='The id of the message that starts the Job.', max_length=255)),
                ('admitted_at', models.DateTimeField(editable=False, help_text='The time since when no other Job may write the occurrences of this Job.', null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('applies', models.ForeignKey(editable=False, help_text='The dry run, or the reverted run, that this Job applies.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='applied_by', to='jobs.job')),
                ('basis', models.ForeignKey(editable=False, help_text='The values that the Job was planned with besides the rows of its scope.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='jobs.basis')),
                ('reverts', models.ForeignKey(editable=False, help_text='The Job whose changes this one undoes.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='reverted_by', to='jobs.job')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='jobs', to=settings.AUTH_USER_MODEL, verbose_name='run by')),
                ('waits_for', models.ForeignKey(editable=False, help_text='The Job that must end first because both may write the same occurrences.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='waiting', to='jobs.job')),
            ],
        ),
        migrations.CreateModel(
            name='JobChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('batch', models.BigIntegerField(help_text='The transaction that made the change.')),
                ('kind', models.CharField(choices=[('created', 'Created'), ('changed', 'Changed'), ('deleted', 'Deleted'), ('left', 'Left alone')], max_length=8)),
                ('model', models.CharField(help_text='The label of the model, such as main.classification.', max_length=64)),
                ('object_id', models.BigIntegerField(verbose_name='object')),
                ('before', models.JSONField(null=True)),
                ('after', models.JSONField(null=True)),
                ('inputs', models.BigIntegerField(editable=False, help_text='A hash of the rows that the determination was based on at the time.', null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='time')),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='jobs.job')),
            ],
            options={
                'verbose_name': 'change',
            },
        ),
        migrations.CreateModel(
            name='JobLog',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('level', models.CharField(choices=[('DEBUG', 'Debug'), ('INFO', 'Info'), ('WARNING', 'Warning'), ('ERROR', 'Error'), ('CRITICAL', 'Critical')], default='INFO', max_length=8)),
                ('message', models.TextField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='time')),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='logs', to='jobs.job')),
            ],
            options={
                'verbose_name': 'job log line',
            },
        ),
        migrations.CreateModel(
            name='JobPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('number', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed')], default='queued', max_length=8)),
                ('is_planned', models.BooleanField(default=True, help_text='Whether its batches are known; never if its work is one call.')),
                ('opens', models.BooleanField(default=False, help_text='Whether its message starts or resumes the Job, so that the worker that claims it also admits and plans the Job and sends the messages of the other parts.')),
                ('batches', models.JSONField(default=list)),
                ('cursor', models.PositiveIntegerField(default=0)),
                ('rows_total', models.PositiveBigIntegerField(default=0)),
                ('rows_done', models.PositiveBigIntegerField(default=0)),
                ('rows_failed', models.PositiveBigIntegerField(default=0)),
                ('counts', models.JSONField(default=list, help_text="Pairs of a counter's name and its value.")),
                ('skipped', models.JSONField(default=dict, help_text='For each reason, the number of rows and the first ids.')),
                ('task_id', models.CharField(blank=True, max_length=255)),
                ('claim_token', models.UUIDField(editable=False, null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0, help_text='The number of claims since the last committed batch.')),
                ('claimed_at', models.DateTimeField(null=True)),
                ('rows_at_claim', models.PositiveBigIntegerField(default=0)),
                ('heartbeat_at', models.DateTimeField(null=True)),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='jobs.job')),
            ],
            options={
                'verbose_name': 'part',
            },
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['CREATED', 'PENDING', 'RECEIVED', 'STARTED', 'RETRY', 'PAUSED', 'CANCELING', 'SUCCESS', 'FAILURE', 'REVOKED', 'UNKNOWN'])), name='job_status_is_known'),
        ),
        migrations.AddIndex(
            model_name='jobchange',
            index=models.Index(fields=['job', 'id'], include=('kind', 'model'), name='jobchange_job_id'),
        ),
        migrations.AddIndex(
            model_name='jobchange',
            index=models.Index(condition=models.Q(('kind', 'left')), fields=['job', 'id'], name='jobchange_left'),
        ),
        migrations.AddIndex(
            model_name='jobchange',
            index=models.Index(condition=models.Q(django.db.models.lookups.Contains(django.db.models.fields.json.KeyTextTransform('metadata', 'after'), '"warnings"')), fields=['job', 'id'], name='jobchange_warned'),
        ),
        migrations.AddIndex(
            model_name='jobchange',
            index=models.Index(fields=['object_id', 'id'], name='jobchange_object_id'),
        ),
        migrations.AddIndex(
            model_name='joblog',
            index=models.Index(fields=['job', 'id'], name='joblog_job_id'),
        ),
        migrations.AddIndex(
            model_name='joblog',
            index=models.Index(condition=models.Q(('level__in', ('WARNING', 'ERROR', 'CRITICAL'))), fields=['job', 'id'], name='joblog_severe'),
        ),
        migrations.AddConstraint(
            model_name='jobpart',
            constraint=models.UniqueConstraint(fields=('job', 'number'), name='jobpart_number_is_unique'),
        ),
    ]
