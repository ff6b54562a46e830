import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('main', '0003_deployment_storage'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Sample',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=200)),
                ('source', models.CharField(choices=[('job', 'Occurrences that a Job changed'), ('collection', 'Capture set'), ('event', 'Night'), ('project', 'Project'), ('occurrences', 'List of occurrences')], max_length=16)),
                ('source_id', models.BigIntegerField(blank=True, help_text='The id of the Job, capture set or night.', null=True, verbose_name='source id')),
                ('query', models.TextField(blank=True, help_text='The filter of the list of occurrences, as in its address.')),
                ('strata', models.CharField(blank=True, choices=[('', 'None: all at random'), ('score', 'Score band'), ('taxa', 'Taxon before → after'), ('run', 'Changed or unchanged by the run')], default='', max_length=8)),
                ('seed', models.BigIntegerField()),
                ('population', models.PositiveIntegerField(help_text='Occurrences that it was drawn from.')),
                ('populations', models.JSONField(blank=True, default=list, help_text='For each stratum, its name and how many occurrences it was drawn from: [{"name": …, "population": …}].')),
                ('blind', models.BooleanField(default=True, help_text='Hide the determination until the person has answered.')),
                ('identifies', models.BooleanField(default=True, help_text='Otherwise, answers are only judgements, and no determination changes.', verbose_name='answers become identifications')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='samples', to='main.project')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='samples', to=settings.AUTH_USER_MODEL, verbose_name='drawn by')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='SampleItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField(help_text='Its place in the random order, from 1.')),
                ('stratum', models.PositiveSmallIntegerField(default=0, help_text='The place of its stratum in the populations of the sample, from 0.')),
                ('score', models.FloatField(blank=True, null=True)),
                ('is_double', models.BooleanField(default=False, help_text='Two people answer, for the agreement of readers.', verbose_name='read twice')),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('claimed_by', models.ForeignKey(blank=True, help_text='To whom it was handed out last.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('occurrence', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='sample_items', to='main.occurrence')),
                ('sample', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='review.sample')),
                ('taxon', models.ForeignKey(blank=True, help_text='The determination that is judged.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='main.taxon')),
                ('taxon_before', models.ForeignKey(blank=True, help_text='The determination before the run; empty unless drawn from a Job.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='main.taxon')),
            ],
        ),
        migrations.CreateModel(
            name='Judgement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('verdict', models.CharField(choices=[('right', 'Right'), ('wrong', 'Wrong'), ('cannot_tell', 'Cannot tell'), ('skipped', 'Skipped')], max_length=16)),
                ('blind', models.BooleanField(help_text='The determination was hidden until the answer.')),
                ('seconds', models.FloatField(blank=True, null=True)),
                ('withdrawn', models.BooleanField(default=False, help_text='The person took it back.')),
                ('identification', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='judgement', to='main.identification')),
                ('taxon', models.ForeignKey(blank=True, help_text='What the person says it is.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='main.taxon')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='judgements', to=settings.AUTH_USER_MODEL)),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='judgements', to='review.sampleitem')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.AddConstraint(
            model_name='sampleitem',
            constraint=models.UniqueConstraint(fields=('sample', 'position'), name='sampleitem_position'),
        ),
        migrations.AddConstraint(
            model_name='sampleitem',
            constraint=models.UniqueConstraint(fields=('sample', 'occurrence'), name='sampleitem_occurrence'),
        ),
    ]
