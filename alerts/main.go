// Command alerts generates the rules: rules.yml for Prometheus, and the same as a PrometheusRule for Kubernetes.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kingpin/v2"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "alerts:", err)
		os.Exit(1)
	}
}

func run(arguments []string, w io.Writer) error {
	app := kingpin.New("alerts", "Generates the rules on starrocks_backup_exporter.")
	p := parameters{severities: map[string]string{}, waits: map[string]string{}}
	format := app.Flag("format", "prometheus for a rule file, kubernetes for a PrometheusRule.").
		Default(prometheus).Enum(prometheus, kubernetes)
	only := app.Flag("only", "Write the records or the alerts alone, for services that keep them apart.").
		Default("all").Enum("all", "records", "alerts")
	app.Flag("runbook-url", "Address of your copy of alerts/README.md.").Default("alerts/README.md").StringVar(&p.runbookURL)
	app.Flag("cluster-label", "Label that tells clusters or Prometheus servers apart.").Default("cluster").StringVar(&p.cluster)
	app.Flag("severity", "Rename a severity (critical=P1), or set that of an alert (StarRocksBackupFailed=critical).").
		StringMapVar(&p.severities)
	app.Flag("for", "How long an alert must hold (StarRocksBackupMissing=2h, StarRocksBackupInstanceUnreadable/critical=12h).").
		StringMapVar(&p.waits)
	app.Flag("watchdog", "Include the alert that always fires.").Default("true").BoolVar(&p.watchdog)
	if _, err := app.Parse(arguments); err != nil {
		return err
	}
	all, err := groups(p)
	if err != nil {
		return err
	}
	var kept []group
	for _, g := range all {
		if *only == "all" || strings.HasSuffix(g.name, "_records") == (*only == "records") {
			kept = append(kept, g)
		}
	}
	return write(w, *format, kept, p)
}
