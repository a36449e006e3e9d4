# userlock in a container, without a shell. docs/operations.md#container says how to build and run it.
ARG BUILD_IMAGE=docker.io/library/node:24.21.0-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm pack --silent && mkdir -p /image/app /image/data \
  && tar -xzf userlock-*.tgz -C /image/app --strip-components=1 && cp package-lock.json /image/app/
# The versions of the lock file, which an installation of the package would not have. Without the workspaces, which are no
# part of the server.
RUN npm pkg delete workspaces --prefix /image/app \
  && npm install --prefix /image/app --omit=dev --ignore-scripts --no-audit --no-fund
# Node reads neither types nor source maps.
RUN find /image/app/node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.?ts' \) -delete

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="userlock" \
  org.opencontainers.image.description="A server that locks user accounts, over gRPC, gRPC-Web, Connect and REST." \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
COPY --from=build --chown=0:0 /usr/local/bin/node /usr/local/bin/node
COPY --from=build --chown=0:0 /image/app /app
COPY --from=build --chown=65532:65532 /image/data /data
ENV NODE_ENV=production \
  USERLOCK_LISTEN=0.0.0.0:8080 \
  USERLOCK_ADMIN_LISTEN=0.0.0.0:9090 \
  USERLOCK_STORE=sqlite:/data/userlock.db
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080 9090
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=2 CMD ["/usr/local/bin/node", "/app/bin/userlock.js", "check"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/node", "/app/bin/userlock.js"]
CMD ["serve"]
