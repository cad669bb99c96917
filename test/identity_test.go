//go:build system

package test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Who publishes this is said in IDENTITY alone: no other file has an address of it, or an e-mail address.
func TestOneIdentity(t *testing.T) {
	identity := map[string]string{}
	text, err := os.ReadFile("IDENTITY")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			identity[name] = value
		}
	}
	home := strings.TrimPrefix(identity["HOME_URL"], "https://")
	if home == identity["HOME_URL"] || identity["IMAGE"] == "" || !address.MatchString(identity["MAINTAINER"]) {
		t.Fatalf("IDENTITY is incomplete: %q", identity)
	}
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m").Output()
	if path := strings.TrimSpace(string(module)); err != nil || path != home {
		t.Errorf("the module is %s, its home %s, run make identity: %v", path, home, err)
	}
	files, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--", ":!IDENTITY", ":!NOTICE", ":!*.sum", ":!*.png").Output()
	if err != nil {
		t.Fatal(err)
	}
	for file := range strings.SplitSeq(strings.Trim(string(files), "\x00"), "\x00") {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a link to a directory, or deleted
		}
		for _, name := range []string{"HOME_URL", "IMAGE"} {
			if bytes.Contains(text, []byte(identity[name])) {
				t.Errorf("%s has the value of %s", file, name)
			}
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if found := address.Find(text); found != nil {
			t.Errorf("%s has an e-mail address: %s", file, found)
		}
	}
}

// The licenses in NOTICE are those of what is linked in.
func TestNoticeIsCurrent(t *testing.T) {
	want, err := exec.CommandContext(t.Context(), "scripts/notice.sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("NOTICE"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("NOTICE is not current, run make notice: %v", err)
	}
}

var address = regexp.MustCompile(`<?[\w.+-]+@[\w-]+(\.[\w-]+)*\.(com|net|org|io|dev|cn)\b>?`)
