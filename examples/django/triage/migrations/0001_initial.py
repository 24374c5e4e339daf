"""The table of the findings."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("desk", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Finding",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "language",
                    models.CharField(
                        blank=True, choices=[("en", "English"), ("de", "German"), ("fr", "French")], max_length=2
                    ),
                ),
                ("confidence", models.FloatField()),
                ("urgent", models.BooleanField()),
                ("reasons", models.JSONField(default=list)),
                ("suggestion", models.TextField(blank=True)),
                ("asked_by", models.CharField(max_length=150)),
                ("run_id", models.UUIDField()),
                ("found_at", models.DateTimeField(auto_now=True)),
                (
                    "queue",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="desk.queue"
                    ),
                ),
                (
                    "ticket",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="finding", to="desk.ticket"
                    ),
                ),
            ],
            options={
                "permissions": (("run_triage", "Can run the triage pipeline"),),
            },
        ),
    ]
