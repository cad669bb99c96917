package config

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	promconfig "github.com/prometheus/common/config"
)

// Requests use HTTP/1.1 even if the server offers HTTP/2: a dead connection of that would take all requests of a region with it.
func TestTransportUsesHTTP1(t *testing.T) {
	var protocols, connections []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		protocols, connections = append(protocols, r.Proto), append(connections, r.RemoteAddr)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	h := HTTPClient{TLSConfig: promconfig.TLSConfig{InsecureSkipVerify: true}}
	for keepAlive, want := range map[bool]int{true: 1, false: 2} {
		protocols, connections = nil, nil
		transport, err := h.Transport(keepAlive)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			res, err := (&http.Client{Transport: transport}).Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		}
		if slices.Sort(connections); len(slices.Compact(connections)) != want || !slices.Equal(protocols, []string{"HTTP/1.1", "HTTP/1.1"}) {
			t.Errorf("keep-alive %v: %q over %q", keepAlive, protocols, connections)
		}
	}
}

// A CA, a client certificate and its key are read again, whichever of them is renewed.
func TestFilesOfATransport(t *testing.T) {
	directory := t.TempDir()
	path := func(name string) string { return filepath.Join(directory, name) }
	write := func(name, content string) {
		if err := os.WriteFile(path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := HTTPClient{TLSConfig: promconfig.TLSConfig{CAFile: path("ca"), CertFile: path("cert"), KeyFile: path("key")}}
	names := []string{"ca", "cert", "key"}
	for _, name := range names {
		if _, err := h.Files(); err == nil {
			t.Errorf("without %s", name)
		}
		write(name, "old")
	}
	for _, name := range names {
		before, err := h.Files()
		if err != nil {
			t.Fatal(err)
		}
		write(name, "new")
		if after, err := h.Files(); err != nil || slices.Equal(before, after) {
			t.Errorf("%s was renewed: %q, %v", name, after, err)
		}
	}
}
