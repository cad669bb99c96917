package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/version"
)

// manPage returns kingpin's template of a man page with a title line and a name that man and apropos understand.
func manPage(template string) string {
	day, _, _ := strings.Cut(version.BuildDate, "-")
	if t, err := time.Parse("20060102", day); err == nil {
		day = t.Format(time.DateOnly)
	}
	const title, name = ".TH {{.App.Name}} 1 {{.App.Version}} \"{{.App.Author}}\"\n", ".SH \"NAME\"\n{{.App.Name}}\n"
	return strings.NewReplacer(
		title, fmt.Sprintf(".TH \"{{.App.Name}}\" 1 %q %q \"User Commands\"\n", day, "starrocks_backup_exporter "+version.Version),
		name, ".SH \"NAME\"\n{{.App.Name}} \\- {{.App.Help}}\n",
	).Replace(template)
}

// completion returns kingpin's template of a completion that also completes a partly typed command: kingpin takes those
// for an argument of the default command.
func completion(template string) string {
	return strings.Replace(template,
		`"${COMP_WORDS[@]:1:$COMP_CWORD}"`, `"${COMP_WORDS[@]:1:$COMP_CWORD - $([[ $cur == -* ]]; echo $?)}"`, 1)
}
