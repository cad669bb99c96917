// Package report says what a scrape found to a person or a script: the page, the table and JSON.
package report

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
)

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// roughly returns a duration in its two largest units.
func roughly(d time.Duration) string {
	d = max(0, d)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	two := func(large int, unit string, small int, smaller string) string {
		if small == 0 {
			return fmt.Sprintf("%d %s", large, unit)
		}
		return fmt.Sprintf("%d %s %d %s", large, unit, small, smaller)
	}
	switch {
	case days > 0:
		return two(days, "d", hours, "h")
	case hours > 0:
		return two(hours, "h", minutes, "min")
	case minutes > 0:
		return two(minutes, "min", seconds, "s")
	default:
		return fmt.Sprintf("%d s", seconds)
	}
}

// sizeInWords returns a size in the largest unit that leaves at least 1.
func sizeInWords(n float64) string {
	if math.IsNaN(n) {
		return ""
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	unit := 0
	for n >= 1024 && unit < len(units)-1 {
		n, unit = n/1024, unit+1
	}
	if n >= 100 || n == math.Trunc(n) {
		return fmt.Sprintf("%.0f %s", n, units[unit])
	}
	return fmt.Sprintf("%.1f %s", n, units[unit])
}

// plural returns a number of things.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func are(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

// has is the verb for a number of things.
func has(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

// enumerate names at most three things of a list, which may have more than those named.
func enumerate(names []string, total int) string {
	const most = 3
	short := make([]string, min(len(names), most))
	for i := range short {
		short[i] = shorten(names[i])
	}
	switch n := len(short); {
	case n < total:
		return fmt.Sprintf("%s and %d more", strings.Join(short, ", "), total-n)
	case n > 1:
		return strings.Join(short[:n-1], ", ") + " and " + short[n-1]
	default:
		return strings.Join(short, "")
	}
}

// shorten cuts a long name: that of a table may have 1,024 characters.
func shorten(name string) string {
	const most = 80
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return name
}

// printable replaces what could move the cursor or the columns of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
