# docker build \
#   --build-arg REVISION=$(git rev-parse HEAD) --build-arg BRANCH=$(git rev-parse --abbrev-ref HEAD) \
#   --build-arg BUILD_DATE=$(date -u +%Y%m%d-%H:%M:%S) -t starrocks_backup_exporter .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION
ARG REVISION=unknown
ARG BRANCH=unknown
ARG BUILD_USER=docker
ARG BUILD_DATE=unknown
RUN stamp=github.com/prometheus/common/version && \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -o /starrocks_backup_exporter -ldflags "-s -w \
      -X $stamp.Version=${VERSION:-$(cat VERSION)} \
      -X $stamp.Revision=$REVISION \
      -X $stamp.Branch=$BRANCH \
      -X $stamp.BuildUser=$BUILD_USER \
      -X $stamp.BuildDate=$BUILD_DATE" .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# Go's own copy of the time zones: every builder has it.
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /usr/share/zoneinfo.zip
ENV ZONEINFO=/usr/share/zoneinfo.zip
COPY --from=build /starrocks_backup_exporter /starrocks_backup_exporter
USER 65534:65534
EXPOSE 10980
ENTRYPOINT ["/starrocks_backup_exporter"]
