# syntax=docker/dockerfile:1
# The environment of this clone, for a machine without Python or for CI. docs/setup.md: how to use it, what was tested.
#   docker build -t samebits .                                      CPU build of torch
#   docker build -t samebits --build-arg TORCH=locked .             the build in the lock, with CUDA (run with --gpus all)
#   docker run --rm -it -v "$PWD:/project" samebits dvc repro
FROM python:3.11-slim-bookworm

ARG TORCH=cpu
ARG TORCH_INDEX=
ARG EXTRAS=none
ARG UID=1000

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# git: DVC and the records of a run need it. libgomp1: OpenMP of numpy's and onnxruntime's wheels. make: the targets.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libgomp1 make openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid "$UID" samebits \
    && install -d -o samebits -g samebits /opt/samebits /project

USER ${UID}
WORKDIR /opt/samebits
COPY --chown=samebits:samebits . .

# The wheels stay in BuildKit's cache, not in the image: the next build copies what did not change.
RUN --mount=type=cache,target=/home/samebits/.cache/uv,uid=$UID,gid=$UID \
    TORCH="$TORCH" TORCH_INDEX="$TORCH_INDEX" EXTRAS="$EXTRAS" tools/environment.sh

ENV PATH=/opt/samebits/.venv/bin:$PATH
# A project that is mounted here may belong to another user than the container's: git refuses that otherwise.
RUN git config --global --add safe.directory /project
WORKDIR /project
CMD ["samebits", "--help"]
