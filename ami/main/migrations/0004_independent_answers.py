import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('main', '0003_deployment_storage'),
        ('review', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='identification',
            name='agreed_with_identification',
            field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, help_text='The identification whose name the person confirmed with one click.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='agreeing_identifications', to='main.identification'),
        ),
        migrations.AddField(
            model_name='identification',
            name='agreed_with_prediction',
            field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, help_text='The classification whose name the person confirmed with one click.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='agreeing_identifications', to='main.classification'),
        ),
        migrations.AddField(
            model_name='identification',
            name='blind',
            field=models.BooleanField(db_default=False, default=False, help_text='The determination was hidden when the person answered.'),
        ),
        migrations.AddField(
            model_name='identification',
            name='sample',
            field=models.ForeignKey(blank=True, db_constraint=False, help_text='The random sample in whose review the person answered.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='identifications', to='review.sample'),
        ),
        migrations.AddField(
            model_name='identification',
            name='seconds',
            field=models.FloatField(blank=True, help_text='How long the person looked before answering.', null=True),
        ),
    ]
