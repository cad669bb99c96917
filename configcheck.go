package main

import (
	"fmt"
	"io"
	"regexp"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/exporter-toolkit/web"

	"starrocks_backup_exporter/config"
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
	if err := web.Validate(*o.web.WebConfigFile); err != nil {
		fmt.Fprintf(stderr, "%s: %s\n", *o.web.WebConfigFile, quoted.ReplaceAllString(err.Error(), "the value"))
		status = 1
	}
	if status == 0 {
		fmt.Fprintf(stdout, "%s: OK, instances: %d, regions to discover: %d, warnings: %d\n",
			o.configFile, len(c.Instances), len(c.Discovery), len(warnings))
	}
	return status
}

// quoted matches what an error of the YAML parser quotes of the file, which may be part of a password's hash.
var quoted = regexp.MustCompile("`[^`]*`")

// logWarnings logs what is probably wrong with a configuration.
func logWarnings(c *config.Config, logger log.Logger) {
	for _, warning := range c.Warnings() {
		level.Warn(logger).Log("msg", "the configuration is probably not what was meant", "warning", warning)
	}
}
