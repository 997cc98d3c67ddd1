# Once it is pulled, its digest is known: python:3.11.14-slim-bookworm@sha256:... in both places is the same image for ever.
FROM python:3.11.14-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build

# The tools that build the wheel stay behind in this stage.
COPY deploy/requirements.txt deploy/build-requirements.txt deploy/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: -r deploy/build-requirements.txt \
    && python -m venv /opt/rtc-room-exporter \
    && /opt/rtc-room-exporter/bin/pip install --require-hashes --only-binary :all: -r deploy/requirements.txt

COPY pyproject.toml README.md LICENSE ./
# It goes into the wheel, and so to where scanners of images look for it.
COPY deploy/sbom.cdx.json deploy/
COPY docs docs
COPY exporter exporter
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/rtc-room-exporter/bin/pip install --no-deps --no-index dist/*.whl \
    && /opt/rtc-room-exporter/bin/pip uninstall --yes pip setuptools


FROM python:3.11.14-slim-bookworm

LABEL org.opencontainers.image.title="rtc-room-exporter" \
      org.opencontainers.image.description="Prometheus exporter for users in live rooms" \
      org.opencontainers.image.licenses="Apache-2.0"

# Nothing is ever written: runs with a read-only root file system.
ENV PATH=/opt/rtc-room-exporter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

COPY --from=build /opt/rtc-room-exporter /opt/rtc-room-exporter

USER 65532:65532
EXPOSE 9877

# It gives up after 4 s by itself; the rest of the time-out is for loading the program on a busy machine.
# If the exporter listens elsewhere than on :9877, or speaks TLS, set RTC_EXPORTER_URL; if it wants a password or a
# certificate, RTC_EXPORTER_HTTP_CONFIG_FILE (docs/web-config.md).
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s --retries=3 CMD ["rtc-room-exporter", "healthy"]

ENTRYPOINT ["rtc-room-exporter"]
CMD ["run", "--config.file=/etc/rtc-room-exporter/exporter.yml"]
