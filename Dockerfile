# docker build --build-arg COMMIT="$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" .
#
# The same sources, arguments and builder give the same binary. Pin the builder by digest to hold it still:
# --build-arg BUILDER=rust:1.95.0-alpine@sha256:…
ARG BUILDER=rust:1.95.0-alpine

FROM ${BUILDER} AS build
ARG COMMIT=unknown
ARG SOURCE_DATE_EPOCH=0
# The builder's own toolchain: rust-toolchain.toml names the same, with parts that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0 \
    RUSTFLAGS="-C target-feature=+crt-static" \
    UPGRADE_GATE_COMMIT=${COMMIT} \
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin upgrade-gate

FROM scratch
ARG COMMIT=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="upgrade-gate" \
      org.opencontainers.image.description="Gates OpenShift updates: overrides stop minor and major updates, and no others" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /src/LICENSE /licenses/LICENSE
COPY --from=build /src/target/release/upgrade-gate /upgrade-gate
# A number, so that the kubelet can tell that it isn't root.
USER 65532:65532
ENTRYPOINT ["/upgrade-gate"]
