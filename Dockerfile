# syntax=docker/dockerfile:1
# One image for the API and for workers: `docker run … offpoll:local serve orders:app --host 0.0.0.0`, `… work orders:app`.
# An app comes in by `FROM offpoll:local`, or mounted at /app: docs/containers.md. tests/containers/test_image.py runs these steps.
ARG PYTHON=3.13

# The wheel, and a virtual environment with it. --only-binary: where a wheel is missing this ends, instead of looking for a compiler.
FROM python:${PYTHON}-slim-trixie AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir /wheels .
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/offpoll && \
    pip --python /opt/offpoll install --only-binary :all: --constraint constraints.txt "$(echo /wheels/offpoll-*.whl)[server,cli]"

FROM python:${PYTHON}-slim-trixie AS runtime
LABEL org.opencontainers.image.title="offpoll" org.opencontainers.image.licenses="Apache-2.0"
# By number, so that an orchestrator can see that it is not root (Kubernetes: runAsNonRoot).
RUN groupadd --gid 10001 offpoll && \
    useradd --uid 10001 --gid offpoll --no-create-home --home-dir /app --shell /usr/sbin/nologin offpoll
COPY --from=build /opt/offpoll /opt/offpoll
COPY contrib/container/healthcheck.py /opt/healthcheck.py
# PIP_PYTHON: `RUN pip install …` of an image made from this one goes where offpoll is.
ENV PATH=/opt/offpoll/bin:$PATH PIP_PYTHON=/opt/offpoll PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "/opt/healthcheck.py"]
ENTRYPOINT ["offpoll"]
CMD ["--help"]

# For `docker compose --env-file contrib/compose/try.env up`: the same, and the emulator with what makes resources in it.
FROM runtime AS try
USER 0
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,from=build,source=/src/constraints.txt,target=/tmp/constraints.txt \
    --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --only-binary :all: --constraint /tmp/constraints.txt "$(echo /wheels/offpoll-*.whl)[dev]"
COPY contrib/compose/resources.py /opt/resources.py
USER 10001:10001

# The last stage is what `docker build` makes where nobody says otherwise.
FROM runtime AS offpoll
