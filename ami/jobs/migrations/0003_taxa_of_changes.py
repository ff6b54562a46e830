import django.db.models.fields.json
import django.db.models.functions.comparison
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0002_project_and_triggers'),
    ]

    operations = [
        migrations.AddField(
            model_name='jobchange',
            name='taxon_after',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(models.Q(('kind', 'changed'), ('model', 'main.occurrence')), then=django.db.models.functions.comparison.Cast(django.db.models.fields.json.KeyTextTransform('determination_id', 'after'), models.BigIntegerField()))), null=True, output_field=models.BigIntegerField(null=True)),
        ),
        migrations.AddField(
            model_name='jobchange',
            name='taxon_before',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(models.Q(('kind', 'changed'), ('model', 'main.occurrence')), then=django.db.models.functions.comparison.Cast(django.db.models.fields.json.KeyTextTransform('determination_id', 'before'), models.BigIntegerField()))), null=True, output_field=models.BigIntegerField(null=True)),
        ),
        migrations.AddIndex(
            model_name='jobchange',
            index=models.Index(condition=models.Q(('taxon_before__isnull', False), ('taxon_after__isnull', False), _connector='OR'), fields=['job', 'taxon_before', 'taxon_after', 'id'], name='jobchange_taxa'),
        ),
    ]
