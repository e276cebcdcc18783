# dbready in a container.
#
#   docker build --tag dbready .
#   docker run --rm --env PGPASSWORD dbready check --url postgres://readonly@db.example:5432/signals
#   docker run --name certify --init dbready certify --profile quick
#   docker cp certify:/data/dbready-report . && docker rm certify
#
# A server on this machine is reached with `--network host`. A folder of this machine that is mounted for
# reports must be writable by the user below, whose number is 10001.
#
# `certify`, `drill` and `load` without --url install their private PostgreSQL into the container on first
# use, as the user below; keep it with `--volume dbready-cache:/home/dbready/.cache`.

FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock compose.yaml ./
COPY crates crates
COPY xtask xtask
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package dbready \
    && cp target/release/dbready /usr/local/bin/dbready

FROM debian:trixie-slim
# Certificates of the public authorities, for `sslrootcert=system`; git, for contracts of other revisions.
# Versions are those of the release of Debian, with its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 dbready \
    && install --directory --owner dbready /data /home/dbready/.cache
COPY --from=build /usr/local/bin/dbready /usr/local/bin/dbready
USER 10001
WORKDIR /data
ENTRYPOINT ["dbready"]
CMD ["--help"]
