import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('admin', '0003_logentry_add_action_flag_choices'),
        ('main', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditNote',
            fields=[
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='note', serialize=False, to='admin.logentry')),
                ('kind', models.CharField(choices=[('add', 'Add'), ('change', 'Change'), ('delete', 'Delete'), ('start', 'Start'), ('dry_run', 'Dry run'), ('apply', 'Apply'), ('run_again', 'Run again'), ('revert', 'Revert'), ('repair', 'Repair'), ('check', 'Check'), ('pause', 'Pause'), ('resume', 'Resume'), ('cancel', 'Cancel'), ('acknowledge', 'Acknowledge'), ('identify', 'Identify'), ('recompute', 'Recompute'), ('bulk_edit', 'Bulk edit')], max_length=16)),
                ('reason', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(verbose_name='time')),
                ('project', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='audit_notes', to='main.project')),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit entries',
                'indexes': [models.Index(fields=['created_at', 'entry'], name='auditnote_time'), models.Index(fields=['project', 'created_at', 'entry'], name='auditnote_project'), models.Index(fields=['kind', 'created_at', 'entry'], name='auditnote_kind')],
            },
        ),
        # The history of a row looks up its entries, which Django's table has no index for.
        migrations.RunSQL(
            "CREATE INDEX django_admin_log_of_row ON django_admin_log (object_id, content_type_id)",
            "DROP INDEX django_admin_log_of_row",
        ),
    ]
