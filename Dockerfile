# Builds for the builder's own platform and cross-compiles for the image's: no emulation. make image passes the arguments.
# With the same arguments the binary is the same, byte by byte, as that of make build.
ARG GO_IMAGE=golang:1.26
FROM --platform=$BUILDPLATFORM $GO_IMAGE AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
ARG REVISION=unknown
ARG BRANCH=unknown
ARG BUILD_USER=docker
ARG BUILD_DATE=unknown
ARG TARGETOS
ARG TARGETARCH
ARG TARGETVARIANT
RUN stamp=github.com/prometheus/common/version && \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} go build -trimpath -buildvcs=false -o /starrocks_backup_exporter -ldflags "-s -w \
      -X $stamp.Version=${VERSION:-$(cat VERSION)-dev} \
      -X $stamp.Revision=$REVISION \
      -X $stamp.Branch=$BRANCH \
      -X $stamp.BuildUser=$BUILD_USER \
      -X $stamp.BuildDate=$BUILD_DATE" .

# The time zones are in the binary.
FROM scratch
ARG VERSION=
ARG REVISION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title=starrocks_backup_exporter \
      org.opencontainers.image.description="Prometheus exporter for the health of backups of Alibaba Cloud EMR Serverless StarRocks" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.created=$CREATED \
      org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.url=$SOURCE \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /starrocks_backup_exporter /starrocks_backup_exporter
COPY LICENSE NOTICE /
USER 65534:65534
EXPOSE 10980
HEALTHCHECK CMD ["/starrocks_backup_exporter", "healthcheck"]
ENTRYPOINT ["/starrocks_backup_exporter"]
