FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=config.settings.production \
    MEDIA_ROOT=/app/media
WORKDIR /app

COPY requirements requirements
RUN pip install --no-cache-dir -r requirements/production.txt

COPY manage.py ./
COPY ami ami
COPY config config

# Collecting needs settings, not secrets: these stay in this layer's command. The modules are
# compiled, because the processes write nothing and would compile them at every start.
RUN SECRET_KEY=build ALLOWED_HOSTS=build DATABASE_URL=postgres:///build REDIS_URL=redis://build \
    python manage.py collectstatic --no-input \
    && python -m compileall -q ami config \
    && useradd --uid 1000 --no-create-home ami \
    && install --directory --owner=ami /app/media

USER ami
VOLUME /app/media
EXPOSE 8000
CMD ["gunicorn", "config.wsgi", "--bind=0.0.0.0:8000", "--workers=3", "--threads=4", "--access-logfile=-"]
