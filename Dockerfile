# syntax=docker/dockerfile:1
FROM rust:1.95.0-bookworm AS build
# The image brings the toolchain that rust-toolchain.toml names; without this rustup would fetch its components too.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin bookmarket && cp target/release/bookmarket /bookmarket

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/bookmarket --create-home --shell /usr/sbin/nologin bookmarket
COPY --from=build /bookmarket /usr/local/bin/bookmarket
USER bookmarket
WORKDIR /var/lib/bookmarket
ENV BOOKMARKET_DATA_DIR=/var/lib/bookmarket
VOLUME /var/lib/bookmarket
EXPOSE 8088
# Bash speaks TCP, so the image carries no HTTP client only to look at itself.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=6 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8088 && printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["bookmarket"]
CMD ["serve"]
