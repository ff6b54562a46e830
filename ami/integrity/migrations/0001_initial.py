import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('jobs', '0001_initial'),
        ('main', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='IntegrityAcknowledgement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('key', models.CharField(db_index=True, max_length=64, verbose_name='check')),
                ('reason', models.TextField()),
                ('expires_on', models.DateField(help_text='The last day on which it is valid.')),
                ('project', models.ForeignKey(blank=True, help_text='Empty for all projects.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='integrity_acknowledgements', to='main.project')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='integrity_acknowledgements', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='IntegrityRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('dry_run', models.BooleanField(default=True, help_text='Report only.')),
                ('finished_at', models.DateTimeField(blank=True, help_text='Empty while it runs, and if it was interrupted.', null=True)),
                ('schedule', models.CharField(blank=True, db_index=True, help_text='The name of the periodic task that started it.', max_length=200)),
                ('error', models.TextField(blank=True, help_text='Why no check could run.', verbose_name='could not run')),
                ('job', models.ForeignKey(blank=True, help_text='Only rows that this Job has classified.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='integrity_runs', to='jobs.job')),
                ('project', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='integrity_runs', to='main.project')),
                ('repair_job', models.ForeignKey(blank=True, help_text='The Job whose journal contains the repairs.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='jobs.job')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='integrity_runs', to=settings.AUTH_USER_MODEL, verbose_name='run by')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='IntegrityResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('key', models.CharField(db_index=True, max_length=64, verbose_name='check')),
                ('severity', models.CharField(max_length=16)),
                ('found', models.PositiveIntegerField(default=0)),
                ('fixed', models.PositiveIntegerField(default=0)),
                ('unfixable', models.PositiveIntegerField(default=0)),
                ('remaining', models.PositiveIntegerField(default=0)),
                ('acknowledged', models.PositiveIntegerField(default=0)),
                ('error', models.TextField(blank=True, help_text='Why it could not be completed.')),
                ('seconds', models.FloatField(default=0)),
                ('samples', models.JSONField(blank=True, default=dict)),
                ('reasons', models.JSONField(blank=True, default=list)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='results', to='integrity.integrityrun')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('run', 'key'), name='integrity_result_once_a_run')],
            },
        ),
    ]
