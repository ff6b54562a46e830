import ami.main.models.deployment
import datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('main', '0007_audit_of_exports'),
    ]

    operations = [
        migrations.AddField(
            model_name='deployment',
            name='night_starts',
            field=models.TimeField(db_default=datetime.time(12, 0), default=datetime.time(12, 0), help_text='The time of day that divides two nights: noon, unless the trap also takes captures by day. A night has the date on which it begins.', verbose_name='nights begin at'),
        ),
        migrations.AlterField(
            model_name='deployment',
            name='time_zone',
            field=models.CharField(default='UTC', help_text='The IANA time zone in which nights begin and end.', max_length=64, validators=[ami.main.models.deployment.validate_time_zone]),
        ),
    ]
