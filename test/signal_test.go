//go:build system

package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A termination signal during a scrape that takes long ends the process with status 0.
func TestTerminationDuringAScrape(t *testing.T) {
	asked := make(chan struct{}, 1)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-r.Context().Done()
	}))
	defer api.Close()
	defer api.CloseClientConnections()
	file := filepath.Join(t.TempDir(), "hang.yml")
	text := fmt.Sprintf("api: {endpoint: %q}\naccounts: {default: {access_key_id: id, access_key_secret: secret}}\n"+
		"instances: [{instance_id: c-1, region_id: r}]", api.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	cmd := exec.CommandContext(t.Context(), build(t), "--config.file="+file, "--web.listen-address="+address, "--scrape.timeout=1h")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "listening", func() error {
		res, err := http.Get("http://" + address + "/-/ready")
		if err == nil {
			res.Body.Close()
		}
		return err
	})
	go func() {
		if res, err := http.Get("http://" + address + "/metrics"); err == nil {
			res.Body.Close()
		}
	}()
	<-asked
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
}
