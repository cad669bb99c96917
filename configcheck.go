package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/exporter-toolkit/web"

	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// checkConfig says all that is wrong with the configuration file and that of the web server, and returns the exit status: 0 if the exporter
// starts with them. Warnings do not count.
func checkConfig(o options, stdout, stderr io.Writer) (status int) {
	c, warnings, err := config.Check(o.configFile)
	if err != nil {
		fmt.Fprintln(stderr, err)
		status = 1
	}
	for _, warning := range warnings {
		fmt.Fprintln(stderr, "warning:", warning)
	}
	if err := checkWebConfig(*o.web.WebConfigFile); err != nil {
		fmt.Fprintln(stderr, err)
		status = 1
	}
	if status == 0 {
		fmt.Fprintf(stdout, "%s: OK, instances: %d, regions to discover: %d, warnings: %d\n",
			o.configFile, len(c.Instances), len(c.Discovery), len(warnings))
	}
	return status
}

// checkWebConfig checks the file of --web.config.file, if there is one.
func checkWebConfig(file string) error {
	if err := web.Validate(file); err != nil {
		return fmt.Errorf("%s: %s", file, quoted.ReplaceAllString(err.Error(), "the value"))
	}
	return nil
}

// quoted matches what an error of the YAML parser quotes of the file, which may be part of a password's hash.
var quoted = regexp.MustCompile("`[^`]*`")

// logLines logs an error that has a line for each mistake.
func logLines(logger log.Logger, msg string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		level.Error(logger).Log("msg", msg, "err", line)
	}
}

// logWarnings logs what is probably wrong with a configuration.
func logWarnings(c *config.Config, logger log.Logger) {
	for _, warning := range c.Warnings() {
		level.Warn(logger).Log("msg", "the configuration is probably not what was meant", "warning", warning)
	}
}
