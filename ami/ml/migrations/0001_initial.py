import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='AlgorithmCategoryMap',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('data', models.JSONField(default=list)),
                ('labels', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=255), default=list, editable=False, size=None)),
                ('version', models.CharField(blank=True, max_length=255)),
                ('description', models.TextField(blank=True)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Algorithm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=255)),
                ('key', models.SlugField(blank=True, help_text='If empty, it is generated from the name and the version.', max_length=255, unique=True)),
                ('task_type', models.CharField(choices=[('detection', 'Detection'), ('localization', 'Localization'), ('segmentation', 'Segmentation'), ('classification', 'Classification'), ('embedding', 'Embedding'), ('tracking', 'Tracking'), ('post_processing', 'Post-processing'), ('other', 'Other'), ('unknown', 'Unknown')], default='unknown', max_length=32)),
                ('version', models.PositiveIntegerField(default=1)),
                ('description', models.TextField(blank=True)),
                ('category_map', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='algorithms', to='ml.algorithmcategorymap')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'version'), name='algorithm_unique_name_version')],
            },
        ),
    ]
