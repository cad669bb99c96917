package report

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// gap separates the columns of a table.
const gap = "  "

// displayWidth returns how many columns of a terminal a text takes: Chinese characters take two each.
func displayWidth(s string) (n int) {
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch kind := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// split returns the beginning of a text that takes at most some columns, and the rest.
func split(s string, most int) (head, rest string) {
	n := 0
	for i, r := range s {
		n += runeWidth(r)
		if n > most {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// fitWidths returns the widths of a table's columns. If a row would be wider than a terminal, the columns named as elastic are cut, the
// first first, but not below a width at which they still say something.
func fitWidths(rows [][]string, most int, elastic ...int) []int {
	const least = 8
	widths := make([]int, len(rows[0]))
	for _, cells := range rows {
		for i, c := range cells {
			widths[i] = max(widths[i], displayWidth(c))
		}
	}
	excess := (len(widths)-1)*len(gap) - most
	for _, w := range widths {
		excess += w
	}
	for _, i := range elastic {
		if cut := min(excess, widths[i]-least); cut > 0 {
			widths[i] -= cut
			excess -= cut
		}
	}
	return widths
}

// joinCells returns a row of a table. A cell that is too wide ends with an ellipsis.
func joinCells(cells []string, widths []int) string {
	var b strings.Builder
	for i, c := range cells {
		if displayWidth(c) > widths[i] {
			c, _ = split(c, widths[i]-1)
			c += "…"
		}
		b.WriteString(c + strings.Repeat(" ", widths[i]-displayWidth(c)) + gap)
	}
	return strings.TrimRight(b.String(), " ")
}

// wrap breaks a text into indented lines of at most some columns.
func wrap(text string, most, indent int) string {
	var b strings.Builder
	line := ""
	end := func() {
		if line != "" {
			b.WriteString(strings.Repeat(" ", indent) + line + "\n")
		}
		line = ""
	}
	for word := range strings.FieldsSeq(text) {
		if line != "" && indent+displayWidth(line)+1+displayWidth(word) > most {
			end()
		}
		if line != "" {
			line += " "
		}
		for line += word; indent+displayWidth(line) > most; { // a word wider than a line
			var rest string
			line, rest = split(line, most-indent)
			end()
			line = rest
		}
	}
	end()
	return b.String()
}
