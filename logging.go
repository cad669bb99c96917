package main

import (
	"context"
	stdlog "log"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	sloggokit "github.com/tjhop/slog-gokit"

	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// newLogger returns a logger to standard error that begins each line as Prometheus' own programs do: ts, caller, level.
func newLogger(o options) log.Logger {
	const throughFilter = 5 // frames between the call and the one that asks for the caller
	return filtered(o, log.With(newWriter(o), "ts", timestamp(), "caller", log.Caller(throughFilter)))
}

// newSlogLogger returns a logger for libraries that use slog. It writes as newLogger does.
func newSlogLogger(o options) *slog.Logger {
	bridge := sloggokit.NewGoKitHandler(filtered(o, log.With(newWriter(o), "ts", timestamp())), slog.LevelDebug)
	return slog.New(withoutTime{bridge})
}

func newWriter(o options) log.Logger {
	newFormat := log.NewLogfmtLogger
	if o.logFormat == "json" {
		newFormat = log.NewJSONLogger
	}
	return withoutEmpty(newFormat(log.NewSyncWriter(os.Stderr)))
}

func timestamp() log.Valuer {
	return log.TimestampFormat(func() time.Time { return time.Now().UTC() }, "2006-01-02T15:04:05.000Z07:00")
}

func filtered(o options, next log.Logger) log.Logger {
	return level.NewFilter(next, level.Allow(level.ParseDefault(o.logLevel, level.InfoValue())))
}

// withoutEmpty leaves out keys without a value.
func withoutEmpty(next log.Logger) log.Logger {
	return log.LoggerFunc(func(keyvals ...any) error {
		kept := make([]any, 0, len(keyvals))
		for i := 0; i+1 < len(keyvals); i += 2 {
			if keyvals[i+1] != "" {
				kept = append(kept, keyvals[i], keyvals[i+1])
			}
		}
		return next.Log(kept...)
	})
}

// withoutTime leaves the time to the logger behind the bridge.
type withoutTime struct{ slog.Handler }

// Handle implements slog.Handler.
func (h withoutTime) Handle(ctx context.Context, r slog.Record) error {
	r.Time = time.Time{}
	return h.Handler.Handle(ctx, r)
}

// newServerLogger returns the logger of the HTTP server. The health check of a container has no client certificate: at warn level, each of
// its probes would be a line.
func newServerLogger(logger *slog.Logger) *stdlog.Logger {
	return slog.NewLogLogger(probesAtDebug{logger.Handler()}, slog.LevelWarn)
}

type probesAtDebug struct{ slog.Handler }

// Handle implements slog.Handler.
func (h probesAtDebug) Handle(ctx context.Context, r slog.Record) error {
	local := strings.Contains(r.Message, "from 127.0.0.1:") || strings.Contains(r.Message, "from [::1]:")
	if local && strings.HasSuffix(r.Message, "client didn't provide a certificate") {
		r.Level = slog.LevelDebug
		if !h.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return h.Handler.Handle(ctx, r)
}

// logLines logs an error that has a line for each mistake.
func logLines(logger log.Logger, msg string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		level.Error(logger).Log("msg", msg, "err", line)
	}
}

// logWarnings logs what is probably wrong with a configuration.
func logWarnings(c *config.Config, logger log.Logger) {
	for _, warning := range c.Warnings() {
		level.Warn(logger).Log("msg", "probable mistake in the configuration", "warning", warning)
	}
}
