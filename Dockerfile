# docker build --build-arg COMMIT="$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" .
#
# The same sources, arguments and builder give the same binary. To fix the builder, name it by digest:
# --build-arg BUILDER=docker.io/library/rust:1.95.0-alpine@sha256:…
# Any image with that version of Rust and a C compiler works, with musl (Alpine) or glibc.
ARG BUILDER=docker.io/library/rust:1.95.0-alpine

FROM ${BUILDER} AS build
ARG COMMIT=unknown
ARG SOURCE_DATE_EPOCH=0
# The builder's own toolchain: rust-toolchain.toml names the same one, with components that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0 \
    RUSTFLAGS="-C target-feature=+crt-static" \
    UPGRADE_GATE_COMMIT=${COMMIT} \
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}
WORKDIR /src
COPY . .
# With an explicit target, RUSTFLAGS do not apply to procedural macros: with glibc, those cannot be linked statically.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" && \
    cargo build --locked --release --target "$target" --bin upgrade-gate && \
    cp "target/$target/release/upgrade-gate" /upgrade-gate

FROM scratch
ARG COMMIT=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="upgrade-gate" \
      org.opencontainers.image.description="Gates OpenShift updates: overrides stop minor and major updates, and no others" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /src/LICENSE /licenses/LICENSE
COPY --from=build /upgrade-gate /upgrade-gate
# A number, so that the kubelet can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/upgrade-gate"]
