package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

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

// checkWebConfig checks the file of --web.config.file, if there is one. Its error has a line for each mistake that the library reports at
// once: all unknown fields, or one wrong value.
func checkWebConfig(file string) error {
	err := web.Validate(file)
	if err == nil {
		return nil
	}
	text := strings.TrimPrefix(quoted.ReplaceAllString(err.Error(), "the value"), "yaml: unmarshal errors:\n")
	var all []error
	for line := range strings.SplitSeq(text, "\n") {
		line = inLine.ReplaceAllString(file+": "+line, ":$1: ")
		line = notFound.ReplaceAllString(line, "$1: unknown field")
		line = strings.Replace(line, "crypto/bcrypt: ", "basic_auth_users: not a bcrypt hash: ", 1)
		all = append(all, errors.New(line))
	}
	return errors.Join(all...)
}

var (
	// quoted matches what an error of the YAML parser quotes of the file, which may be part of a password's hash.
	quoted   = regexp.MustCompile("`[^`]*`")
	inLine   = regexp.MustCompile(`: (?:yaml: | +)line (\d+): `)
	notFound = regexp.MustCompile(`field (\S+) not found in type \S+$`)
)
