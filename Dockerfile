# wispy itself, as wispy-frontend, wispy-worker and wispy. Objects and pages come on top of it, in an image of their own:
# see docs/how-to/containers.md. What is installed stands in locks/ (`make lock`).
#
#   docker build -t wispy:dev .

# By digest, so that it is the same tomorrow; docs/how-to/containers.md says how to take a newer one.
ARG PYTHON_IMAGE=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
# The environment holds no pip: what runs in the end can install nothing into it.
RUN python -m venv --without-pip /opt/wispy && python -m venv /opt/build
COPY locks locks
# The cache is the builder's, and gets into no layer.
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/wispy/bin/python install --require-hashes --only-binary :all: -r locks/run.txt && \
    /opt/build/bin/pip install --require-hashes --only-binary :all: -r locks/build.txt
# Sources change more often than the lock: they come after it.
COPY pyproject.toml README.md LICENSE ./
COPY wispy wispy
COPY wispyjs wispyjs
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /build/wheels . && \
    pip --python /opt/wispy/bin/python install --no-cache-dir --no-deps --no-index /build/wheels/*.whl

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="wispy" \
      org.opencontainers.image.description="A live Python object in every browser" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/wispy /opt/wispy
# Nothing is written: byte code is in the image, and the root file system may be read-only.
ENV PATH=/opt/wispy/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WISPY_ADDRESS=0.0.0.0 \
    WISPY_LAUNCH=never
# Objects and pages go here: a worker imports modules from the folder that it is started in.
WORKDIR /app
# A number, since Kubernetes cannot tell whether a name is root. It owns nothing.
USER 10001:10001
EXPOSE 5000
# Of a frontend; whoever runs a worker gives another one, or none.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s%s/healthz' % (os.environ.get('WISPY_PORT', 5000), os.environ.get('WISPY_BASE_PATH', '')), timeout=2)"]
# Without a shell: wispy is the first process and gets SIGTERM itself, on which it drains.
STOPSIGNAL SIGTERM
CMD ["wispy-frontend"]
