# Berth itself. `docker compose` builds it, or: docker build -t berth:0.1.0 .
#
# Behind a registry mirror or a private certificate authority, put a `.npmrc` and a `ca.pem` beside this file: they
# reach the first stage alone. It is plain Dockerfile syntax, for the classic builder too. docs/compose.md has more.
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS build
LABEL berth.stage=build
WORKDIR /berth
COPY package.json package-lock.json .npmrc* ca.pem* ./
# Not `npm ci`: it refuses a lock that was written behind a mirror without every package for foreign platforms. The
# optional packages are a Node of the project's own and native parts that nothing here needs.
RUN if [ -s ca.pem ]; then export NODE_EXTRA_CA_CERTS=/berth/ca.pem; fi; \
    npm install --no-save --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error
COPY prisma.config.ts ./
COPY prisma prisma
COPY scripts/generate.ts scripts/
# The database client is generated here, by tools that then go: the image has what runs. Of the client's engines one
# is used; type declarations and source maps are never read. All that npm asks for here is in its cache by now.
RUN node scripts/generate.ts \
    && npm prune --offline --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error \
    && find node_modules/@prisma/client/runtime -name 'query_compiler_*' \
    ! -name 'query_compiler_fast_bg.postgresql.*' -delete \
    && find node_modules -type f '(' -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' ')' -delete

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="Berth" \
    org.opencontainers.image.description="A plugin runtime for self-hosted, multi-tenant platforms" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /berth
# Compiled code is kept where the container may write, so that a health check costs half.
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/tmp/node-compile-cache
# What is copied below is root's: what runs can change none of it.
USER 1000:1000
EXPOSE 5002
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 CMD ["node", "src/main.ts", "health"]
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve"]
COPY --from=build /berth/node_modules node_modules
COPY --from=build /berth/src/store/prisma/generated src/store/prisma/generated
COPY package.json LICENSE ./
COPY prisma prisma
COPY runtime-images/python/runner.py runtime-images/python/probe.py runtime-images/python/whole_lines.py \
    runtime-images/python/
COPY runtime-images/python-build/index.py runtime-images/python-build/backend.py runtime-images/python-build/
COPY runtime-images/python/egress runtime-images/python/egress
COPY runtime-images/python-full/packages runtime-images/python-full/
COPY src src
