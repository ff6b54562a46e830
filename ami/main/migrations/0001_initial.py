import ami.main.counts
import ami.main.project_column
from ami.main import count_triggers, project_column
import ami.main.models.deployment
import django.contrib.postgres.fields
import django.db.models.constraints
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

# Methods demote the classifications that they supersede: with space left on its page, a demoted
# row stays there, and no index of the table is written. Boxes are stored so that their numbers are
# read in place. Vectors hardly compress, and trying to takes most of the time of writing them.
STORAGE = [
    migrations.RunSQL(
        "ALTER TABLE main_classification SET (fillfactor = 85)",
        "ALTER TABLE main_classification RESET (fillfactor)",
    ),
    *(
        migrations.RunSQL(
            f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE {storage}",
            f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTENDED",
        )
        for table, column, storage in [
            ("main_detection", "bbox", "PLAIN"),
            ("main_detection", "similarity_vector", "EXTERNAL"),
            ("main_classification", "scores", "EXTERNAL"),
            ("main_classification", "logits", "EXTERNAL"),
        ]
    ),
]


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('jobs', '0001_initial'),
        ('ml', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Deployment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=255)),
                ('description', models.TextField(blank=True)),
                ('latitude', models.FloatField(blank=True, help_text='Degrees north.', null=True)),
                ('longitude', models.FloatField(blank=True, help_text='Degrees east.', null=True)),
                ('time_zone', models.CharField(default='UTC', help_text='A night runs from noon to noon in this IANA time zone.', max_length=64, validators=[ami.main.models.deployment.validate_time_zone])),
                ('events_count', ami.main.counts.CountField(default=0, editable=False)),
                ('captures_count', ami.main.counts.CountField(default=0, editable=False)),
                ('detections_count', ami.main.counts.CountField(default=0, editable=False)),
                ('occurrences_count', ami.main.counts.CountField(default=0, editable=False)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('group_by', models.CharField(help_text='The date of the evening, as YYYY-MM-DD; unique within the deployment.', max_length=255, verbose_name='night of')),
                ('start', models.DateTimeField(blank=True, null=True)),
                ('end', models.DateTimeField(blank=True, null=True)),
                ('captures_count', ami.main.counts.CountField(default=0, editable=False)),
                ('detections_count', ami.main.counts.CountField(default=0, editable=False)),
                ('occurrences_count', ami.main.counts.CountField(default=0, editable=False)),
                ('deployment', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='main.deployment')),
            ],
            options={
                'verbose_name': 'night',
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('identifier', 'Identifier'), ('operator', 'Operator'), ('manager', 'Manager')], default='viewer', max_length=16)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=255)),
                ('methods', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=255), blank=True, db_default=[], default=list, help_text='The methods that operators and managers may run; if none is chosen, all.', size=None)),
                ('members', models.ManyToManyField(related_name='projects', through='main.Membership', to=settings.AUTH_USER_MODEL)),
                ('owner', models.ForeignKey(blank=True, help_text='The owner has the rights of a manager.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='owned_projects', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Occurrence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('determination_score', models.FloatField(blank=True, null=True)),
                ('deployment', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='occurrences', to='main.deployment')),
                ('event', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='occurrences', to='main.event', verbose_name='night')),
                ('project', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='occurrences', to='main.project')),
            ],
        ),
        migrations.AddField(
            model_name='membership',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='main.project'),
        ),
        migrations.AddField(
            model_name='event',
            name='project',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='main.project'),
        ),
        migrations.AddField(
            model_name='deployment',
            name='project',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='deployments', to='main.project'),
        ),
        migrations.CreateModel(
            name='SourceImage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('path', models.CharField(help_text='Relative to the media root, or a URL.', max_length=1024)),
                ('timestamp', models.DateTimeField(blank=True, null=True)),
                ('width', models.PositiveIntegerField(blank=True, help_text='Pixels.', null=True)),
                ('height', models.PositiveIntegerField(blank=True, help_text='Pixels.', null=True)),
                ('detections_count', ami.main.counts.CountField(default=0, editable=False)),
                ('deployment', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='captures', to='main.deployment')),
                ('event', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='captures', to='main.event', verbose_name='night')),
                ('project', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='captures', to='main.project')),
            ],
            options={
                'verbose_name': 'capture',
            },
        ),
        migrations.CreateModel(
            name='Detection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('bbox', django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(), blank=True, help_text='x1, y1, x2, y2 in pixels of the capture.', null=True, size=None, verbose_name='box')),
                ('timestamp', models.DateTimeField(blank=True, null=True)),
                ('path', models.CharField(blank=True, help_text='Relative to the media root, or a URL.', max_length=1024, verbose_name='crop')),
                ('detection_score', models.FloatField(blank=True, null=True)),
                ('similarity_vector', django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(), blank=True, null=True, size=None, verbose_name='feature vector')),
                ('link_cost', models.FloatField(blank=True, help_text='The cost of the link to the next detection.', null=True)),
                ('detection_algorithm', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='detections', to='ml.algorithm')),
                ('next_detection', models.ForeignKey(blank=True, db_index=False, help_text='The next detection of the same individual, as linked by tracking.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='previous_detections', to='main.detection')),
                ('occurrence', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='detections', to='main.occurrence')),
                ('project', ami.main.project_column.ProjectColumn(db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='main.project')),
                ('source_image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='detections', to='main.sourceimage', verbose_name='capture')),
            ],
        ),
        migrations.CreateModel(
            name='SourceImageCollection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=255)),
                ('method', models.CharField(choices=[('manual', 'Chosen by hand'), ('full', 'Every capture of the project'), ('random', 'A random sample')], default='full', max_length=255)),
                ('kwargs', models.JSONField(blank=True, default=dict, help_text='{"image_ids": […]} for the method "Chosen by hand", {"size": n} for "A random sample".', verbose_name='method parameters')),
                ('images', models.ManyToManyField(blank=True, related_name='collections', to='main.sourceimage', verbose_name='captures')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sourceimage_collections', to='main.project')),
            ],
            options={
                'verbose_name': 'capture set',
            },
        ),
        migrations.CreateModel(
            name='Taxon',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=255, unique=True)),
                ('rank', models.CharField(choices=[('KINGDOM', 'Kingdom'), ('PHYLUM', 'Phylum'), ('CLASS', 'Class'), ('ORDER', 'Order'), ('SUPERFAMILY', 'Superfamily'), ('FAMILY', 'Family'), ('SUBFAMILY', 'Subfamily'), ('TRIBE', 'Tribe'), ('SUBTRIBE', 'Subtribe'), ('GENUS', 'Genus'), ('SPECIES', 'Species'), ('UNKNOWN', 'Unknown')], default='SPECIES', max_length=16)),
                ('active', models.BooleanField(default=True)),
                ('identifiable', models.BooleanField(default=True, help_text='Disable this for names such as “Not identifiable”. Any other classification of the same occurrence takes precedence.')),
                ('search_names', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=255), blank=True, default=list, help_text='Other names by which labels match this taxon, separated by commas.', size=None)),
                ('gbif_taxon_key', models.BigIntegerField(blank=True, null=True, verbose_name='GBIF taxon key')),
                ('notes', models.TextField(blank=True)),
                ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='direct_children', to='main.taxon')),
                ('projects', models.ManyToManyField(blank=True, related_name='taxa', to='main.project')),
                ('synonym_of', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='synonyms', to='main.taxon')),
            ],
            options={
                'verbose_name_plural': 'taxa',
            },
        ),
        migrations.CreateModel(
            name='TaxaList',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=255)),
                ('projects', models.ManyToManyField(blank=True, related_name='taxa_lists', to='main.project')),
                ('taxa', models.ManyToManyField(blank=True, related_name='lists', to='main.taxon')),
            ],
            options={
                'verbose_name': 'taxa list',
            },
        ),
        migrations.AddField(
            model_name='occurrence',
            name='determination',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='occurrences', to='main.taxon'),
        ),
        migrations.CreateModel(
            name='Identification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('withdrawn', models.BooleanField(default=False)),
                ('comment', models.TextField(blank=True)),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='identifications', to=settings.AUTH_USER_MODEL)),
                ('occurrence', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='identifications', to='main.occurrence')),
                ('taxon', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='identifications', to='main.taxon')),
            ],
        ),
        migrations.CreateModel(
            name='Classification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('score', models.FloatField(blank=True, null=True)),
                ('scores', django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(), blank=True, null=True, size=None)),
                ('logits', django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(), blank=True, null=True, size=None)),
                ('terminal', models.BooleanField(default=True)),
                ('timestamp', models.DateTimeField(default=django.utils.timezone.now)),
                ('metadata', models.JSONField(blank=True, default=dict, help_text="Details of the result, such as the run's thresholds.")),
                ('algorithm', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='classifications', to='ml.algorithm')),
                ('applied_to', models.ForeignKey(blank=True, db_index=False, help_text='The classification that this one supersedes.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='derived_classifications', to='main.classification')),
                ('category_map', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='classifications', to='ml.algorithmcategorymap')),
                ('job', models.ForeignKey(blank=True, db_constraint=False, db_index=False, help_text='The run that wrote this classification.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='classifications', to='jobs.job')),
                ('detection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='classifications', to='main.detection')),
                ('project', ami.main.project_column.ProjectColumn(db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='main.project')),
                ('taxon', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='classifications', to='main.taxon')),
            ],
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('project', 'user'), name='membership_once_a_project'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['viewer', 'identifier', 'operator', 'manager'])), name='membership_role_is_known'),
        ),
        migrations.AddConstraint(
            model_name='event',
            constraint=models.UniqueConstraint(fields=('deployment', 'group_by'), name='event_unique_deployment_night'),
        ),
        migrations.AddConstraint(
            model_name='sourceimage',
            constraint=models.UniqueConstraint(fields=('project', 'id'), name='capture_project_id'),
        ),
        migrations.AddIndex(
            model_name='sourceimage',
            index=models.Index(fields=['deployment', 'id'], name='capture_deployment_id'),
        ),
        migrations.AddIndex(
            model_name='sourceimage',
            index=models.Index(django.db.models.functions.comparison.Collate(django.db.models.functions.text.Upper('path'), 'C'), name='capture_path_key'),
        ),
        migrations.AddIndex(
            model_name='sourceimage',
            index=models.Index(django.db.models.functions.comparison.Collate(django.db.models.functions.text.Upper(models.Func(models.F('path'), models.Value('/'), models.Value(-1), function='split_part', output_field=models.TextField())), 'C'), name='capture_file_key'),
        ),
        migrations.AddIndex(
            model_name='sourceimage',
            index=models.Index(fields=['timestamp'], name='capture_timestamp'),
        ),
        migrations.AddConstraint(
            model_name='sourceimage',
            constraint=models.UniqueConstraint(fields=('deployment', 'path'), name='capture_unique_deployment_path'),
        ),
        migrations.AddConstraint(
            model_name='detection',
            constraint=models.UniqueConstraint(fields=('project', 'id'), name='detection_project_id'),
        ),
        migrations.AddConstraint(
            model_name='detection',
            constraint=models.CheckConstraint(condition=models.Q(('detection_score__isnull', True), models.Q(('detection_score__gte', 0), ('detection_score__lte', 1)), _connector='OR'), name='detection_score_within_0_and_1'),
        ),
        migrations.AddConstraint(
            model_name='detection',
            constraint=models.UniqueConstraint(deferrable=django.db.models.constraints.Deferrable['DEFERRED'], fields=('next_detection',), name='detection_unique_next_detection'),
        ),
        migrations.AddConstraint(
            model_name='taxon',
            constraint=models.CheckConstraint(condition=models.Q(('rank__in', ['KINGDOM', 'PHYLUM', 'CLASS', 'ORDER', 'SUPERFAMILY', 'FAMILY', 'SUBFAMILY', 'TRIBE', 'SUBTRIBE', 'GENUS', 'SPECIES', 'UNKNOWN'])), name='taxon_rank_is_known'),
        ),
        migrations.AddIndex(
            model_name='occurrence',
            index=models.Index(fields=['project', 'id'], name='occurrence_project_id'),
        ),
        migrations.AddIndex(
            model_name='occurrence',
            index=models.Index(fields=['deployment', 'id'], name='occurrence_deployment_id'),
        ),
        migrations.AddIndex(
            model_name='occurrence',
            index=models.Index(fields=['determination', 'id'], name='occurrence_determination_id'),
        ),
        migrations.AddConstraint(
            model_name='occurrence',
            constraint=models.CheckConstraint(condition=models.Q(('determination_score__isnull', True), models.Q(('determination_score__gte', 0), ('determination_score__lte', 1)), _connector='OR'), name='occurrence_score_within_0_and_1'),
        ),
        migrations.AddIndex(
            model_name='identification',
            index=models.Index(fields=['occurrence', 'created_at', 'id'], name='identification_latest'),
        ),
        migrations.AddIndex(
            model_name='classification',
            index=models.Index(fields=['project', 'id'], name='classification_project_id'),
        ),
        migrations.AddIndex(
            model_name='classification',
            index=models.Index(fields=['taxon', 'id'], name='classification_taxon_id'),
        ),
        migrations.AddIndex(
            model_name='classification',
            index=models.Index(fields=['algorithm', 'id'], name='classification_algorithm_id'),
        ),
        migrations.AddIndex(
            model_name='classification',
            index=models.Index(condition=models.Q(('job__isnull', False)), fields=['job', 'id'], name='classification_job_id'),
        ),
        migrations.AddIndex(
            model_name='classification',
            index=models.Index(condition=models.Q(('applied_to__isnull', False)), fields=['applied_to'], name='classification_applied_to'),
        ),
        migrations.AddConstraint(
            model_name='classification',
            constraint=models.CheckConstraint(condition=models.Q(('score__isnull', True), models.Q(('score__gte', 0), ('score__lte', 1)), _connector='OR'), name='classification_score_within_0_and_1'),
        ),
        *STORAGE,
        migrations.RunPython(count_triggers.install_triggers, count_triggers.remove_triggers),
        migrations.RunPython(project_column.install_triggers, project_column.remove_triggers),
    ]
