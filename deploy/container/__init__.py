"""The container, built from the Dockerfile and tried, on a machine without an engine: ``make container-test``.

Debian's buildah builds it, on a base that debootstrap makes. Then the image's command runs in the image's root as an
engine would run it: as its user, process 1 of a namespace, with no capabilities, no network, and nothing to write to
but ``/tmp``.
"""
