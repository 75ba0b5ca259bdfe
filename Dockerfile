# The service as a container, for a GPU host (VARIANT=cuda) or without a GPU (VARIANT=cpu).
#
#   docker build --build-arg VARIANT=cuda -t galaxytree:cuda .
#   docker build --build-arg VARIANT=cpu  -t galaxytree:cpu  .
#
# With traces: VARIANT=cuda,tracing or VARIANT=cpu,tracing.
# BASE is any image with Python 3.11 or newer, pip and venv. A tag moves; what is rolled out is better built on the digest
# that your registry gives for it: --build-arg BASE=python@sha256:…
# Where packages come from an index of your own: --secret id=pip,src=/path/to/pip.conf; nothing of it stays in the result.

ARG BASE=docker.io/library/python:3.13-slim-bookworm

# 1. The project as a wheel, its model inside.
FROM ${BASE} AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY galaxytree galaxytree
COPY app app
COPY training training
COPY models models
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    PIP_CONSTRAINT=constraints.txt python3 -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# 2. An environment with the wheel and what it needs, and no pip. CUDA and cuDNN come as wheels too, so the base stays plain.
FROM ${BASE} AS environment
ARG VARIANT=cpu
WORKDIR /source
COPY constraints.txt ./
COPY --from=wheel /wheels /wheels
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv --without-pip /opt/galaxytree \
    && wheel=$(ls /wheels/galaxytree-*.whl) \
    && python3 -m pip --python /opt/galaxytree install --no-cache-dir --no-compile --only-binary :all: \
        --constraint constraints.txt "${wheel}[${VARIANT}]" \
    && python3 -m pip --python /opt/galaxytree check

# 3. The environment alone, run by a user that is not root. Which GPUs it sees is up to who runs it; of the driver, what
# CUDA needs.
FROM ${BASE} AS service
RUN useradd --uid 10001 --no-log-init --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin galaxytree
COPY --from=environment /opt/galaxytree /opt/galaxytree
ENV PATH=/opt/galaxytree/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    GALAXYTREE_HOST=0.0.0.0 \
    GALAXYTREE_PORT=8000
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Whether the process answers, not /health/ready: a container that is busy or draining is well.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['GALAXYTREE_PORT'] + '/health/live', timeout=2)"]
CMD ["galaxytree", "serve"]
