# The recorder's image: one static binary that runs as an unprivileged user.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t watchhistory-recorder .
#
# The first stage runs on the builder's own platform and compiles for the target's.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY cmd/watchhistory-recorder cmd/watchhistory-recorder
COPY pkg pkg
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
ENV CGO_ENABLED=0
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./cmd/watchhistory-recorder
# A volume that is mounted here for the first time gets this directory's owner.
# OpenShift runs the image as any user of the group 0.
RUN mkdir -m 0775 /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/watchhistory-recorder /watchhistory-recorder
COPY --from=build --chown=65532:0 /out/data /data
USER 65532:65532
EXPOSE 8443
ENTRYPOINT ["/watchhistory-recorder"]
