# One small image for everything: loom-tui contains the relay and the node. Static, FROM scratch,
# nobody's user, no shell. `loom-tui image build` makes the same image without a builder.
FROM rust:1-slim AS build
WORKDIR /src
COPY . .
# A target must be named: only then do build scripts and macros stay dynamic while the program
# becomes static. Works with glibc, name resolution included.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --release --locked --package loom-tui --target "$target" \
 && install -D --strip "target/$target/release/loom-tui" /root-fs/loom-tui \
 && mkdir -p /root-fs/data /root-fs/tmp && chmod 1777 /root-fs/tmp

FROM scratch
COPY --from=build /root-fs/loom-tui /loom-tui
COPY --from=build /root-fs/tmp /tmp
# A named volume mounted here begins with this owner.
COPY --from=build --chown=65532:65532 /root-fs/data /data
ENV BIND=0.0.0.0 DATA_DIR=/data
USER 65532:65532
ENTRYPOINT ["/loom-tui"]
