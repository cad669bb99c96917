//go:build system

package test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(
			1,
		), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	var der []byte
	a.key, der = sign(t, template, template, nil)
	var err error
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func sign(t *testing.T, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue returns a certificate for a host, for servers and for clients.
func (a *authority) issue(t *testing.T, host string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{host},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key, der := sign(t, template, a.certificate, a.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// store writes a certificate and its key to two files.
func (a *authority) store(t *testing.T, directory, host string) (certFile, keyFile string) {
	t.Helper()
	c := a.issue(t, host)
	certFile, keyFile = filepath.Join(directory, host+".pem"), filepath.Join(directory, host+".key")
	writePEM(t, certFile, "CERTIFICATE", c.Certificate[0])
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, keyFile, "PRIVATE KEY", key)
	return certFile, keyFile
}

// curl is a real client. It returns the body and the HTTP status, 000 where there was no answer.
func curl(t *testing.T, args ...string) (body, status string) {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), "curl", append([]string{"--silent", "--max-time", "10", "--write-out", "\n%{http_code}"},
		args...)...).
		Output()
	text := string(out)
	cut := strings.LastIndexByte(text, '\n')
	return text[:max(0, cut)], text[cut+1:]
}

// TLS, TLS with a client's certificate, and basic auth, by the web configuration file, each with a real client.
func TestWebConfiguration(t *testing.T) {
	binary, directory := build(t), t.TempDir()
	ca, others := newAuthority(t), newAuthority(t)
	cert, key := ca.store(t, directory, "localhost")
	clientCert, clientKey := ca.store(t, directory, "client")
	strangerCert, strangerKey := others.store(t, directory, "stranger")
	serve := func(web string) (url string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "web.yml")
		if err := os.WriteFile(file, []byte(web), 0o600); err != nil {
			t.Fatal(err)
		}
		address := freeAddress(t)
		start(t, binary, "--demo", "--web.config.file="+file, "--web.listen-address="+address)
		eventually(t, "the exporter", func() error {
			c, err := net.Dial("tcp", address)
			if err == nil {
				_ = c.Close()
			}
			return err
		})
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		return "localhost:" + port + "/metrics"
	}
	tlsPart := fmt.Sprintf("tls_server_config: {cert_file: %q, key_file: %q", cert, key)
	trust := []string{"--cacert", ca.file}
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	basic := "\nbasic_auth_users: {prometheus: " + string(hash) + "}"
	plain := serve(tlsPart + "}")
	mutual := serve(tlsPart + fmt.Sprintf(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: %q}", ca.file))
	password := serve(tlsPart + "}" + basic)
	for name, c := range map[string]struct {
		args   []string
		status string
	}{
		"TLS":                      {append(trust, "https://"+plain), "200"},
		"TLS 1.1":                  {append(trust, "--tls-max", "1.1", "https://"+plain), "000"},
		"no TLS":                   {[]string{"http://" + plain}, "400"},
		"not trusted":              {[]string{"https://" + plain}, "000"},
		"a client's certificate":   {append(trust, "--cert", clientCert, "--key", clientKey, "https://"+mutual), "200"},
		"no certificate":           {append(trust, "https://"+mutual), "000"},
		"a stranger's certificate": {append(trust, "--cert", strangerCert, "--key", strangerKey, "https://"+mutual), "000"},
		"no password":              {append(trust, "https://"+password), "401"},
		"a wrong password":         {append(trust, "--user", "prometheus:wrong", "https://"+password), "401"},
		"the password, pprof too": {append(trust, "--user", "prometheus:right", strings.Replace("https://"+password, "metrics",
			"debug/pprof/cmdline", 1)), "200"},
		"no password for pprof":     {append(trust, strings.Replace("https://"+password, "metrics", "debug/pprof/cmdline", 1)), "401"},
		"the right password":        {append(trust, "--user", "prometheus:right", "https://"+password), "200"},
		"a header beyond all sense": {append(trust, "--http1.1", "--header", "x: "+strings.Repeat("x", 100<<10), "https://"+plain), "431"},
	} {
		body, status := curl(t, c.args...)
		if status != c.status || status == "200" && body == "" {
			t.Errorf("%s: status %s, want %s\n%.300s", name, status, c.status, body)
		}
		if status != "200" && strings.Contains(body, "starrocks_backup") {
			t.Errorf("%s: metrics are shown", name)
		}
	}
}

// Clients that send or read slowly, or not at all, are given up in time, and nobody waits for them.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	binary, address := build(t), freeAddress(t)
	start(t, binary, "--demo", "--web.listen-address="+address)
	eventually(t, "the exporter", func() error { _, err := fetch(t, "http://"+address+"/-/ready"); return err })
	var slow []net.Conn
	for _, request := range []string{
		"GET /metrics HTTP/1.1\r\nHost: x\r\n", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000\r\n\r\nx",
	} {
		for range 20 {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			slow = append(slow, c)
		}
	}
	for range 3 {
		if body, err := fetch(t, "http://"+address+"/metrics"); err != nil || !bytes.Contains(body, []byte("starrocks_backup_up{")) {
			t.Fatalf("%v\n%s", err, body)
		}
	}
	const asked = 3000
	deaf, err := net.Dial("tcp", address) // asks for more than the buffers between take, and reads nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = deaf.Close() })
	if _, err := io.WriteString(deaf, strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", asked)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(40 * time.Second)
	if err := deaf.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(deaf)
	if n := bytes.Count(text, []byte("HTTP/1.1 200 OK")); n == 0 || n == asked {
		t.Errorf("%d of %d answers were kept for a client that does not read", n, asked)
	}
	for _, c := range slow[:20] { // that never ended their headers
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, bufio.NewReader(c)); err != nil {
			t.Fatalf("not given up: %v", err)
		}
	}
}

// The process needs no root, nothing to write to and no capability: it serves as nobody from a directory that has only its file.
func TestNeedsNothing(t *testing.T) {
	root := t.TempDir()
	binary := filepath.Join(root, "exporter")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, d := range []string{root, filepath.Dir(root)} {
		if err := os.Chmod(d, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(d, 0o700) }) //nolint:gosec // to be removed
	}
	address := freeAddress(t)
	exporter := exec.CommandContext(t.Context(), "/exporter", "--demo", "--web.listen-address="+address)
	exporter.Env = []string{}
	exporter.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	exporter.Dir = "/"
	var log bytes.Buffer
	exporter.Stdout, exporter.Stderr = &log, &log
	if err := exporter.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = exporter.Process.Kill(); _ = exporter.Wait() }()
	eventually(t, "the exporter", func() error {
		body, err := fetch(t, "http://"+address+"/metrics")
		if err == nil && !bytes.Contains(body, []byte("starrocks_backup_up{")) {
			err = fmt.Errorf("no metrics:\n%s", log.String())
		}
		return err
	})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", exporter.Process.Pid))
	if err != nil || !strings.Contains(string(status), "CapEff:\t0000000000000000") {
		t.Errorf("capabilities: %v\n%s", err, status)
	}
}

// What goes out goes through the proxy that the configuration names, by TLS 1.2 or later, and follows no redirect.
func TestOutgoing(t *testing.T) {
	binary, ca := build(t), newAuthority(t)
	versions := make(chan uint16, 100)
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		versions <- r.TLS.Version
		fmt.Fprint(w, `{"Success":true,"Data":[],"Total":0}`)
	}))
	api.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "starrocks.example")}}
	api.StartTLS()
	t.Cleanup(api.Close)
	old := httptest.NewUnstartedServer(api.Config.Handler)
	old.TLS = &tls.Config{Certificates: api.TLS.Certificates, MaxVersion: tls.VersionTLS11}
	old.Config.ErrorLog = nil
	old.StartTLS()
	t.Cleanup(old.Close)
	for _, c := range []struct {
		to     *httptest.Server
		expect string
	}{{api, "} 1"}, {old, "} 0"}} {
		connects := make(chan string, 100)
		proxy := newTunnel(t, c.to.Listener.Addr().String(), connects)
		file, address := filepath.Join(t.TempDir(), "exporter.yml"), freeAddress(t)
		text := fmt.Sprintf(
			"api: {endpoint: 'https://starrocks.example', max_attempts: 1, http_client: {proxy_url: %q, tls_config: {ca_file: %q}}}\n"+
				"accounts: {default: {access_key_id: id, access_key_secret: secret}}\ninstances: [{instance_id: c-1, region_id: cn-hangzhou}]",
			proxy,
			ca.file,
		)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		start(t, binary, "--config.file="+file, "--web.listen-address="+address)
		eventually(t, "a scrape", func() error {
			body, err := fetch(t, "http://"+address+"/metrics")
			if err == nil && !strings.Contains(string(body), `starrocks_backup_up{instance_id="c-1",region_id="cn-hangzhou"`+c.expect) {
				t.Errorf("up is not %s:\n%.3000s", c.expect, body)
			}
			return err
		})
		if to := <-connects; to != "starrocks.example:443" {
			t.Errorf("the proxy was asked for %s", to)
		}
	}
	if v := <-versions; v < tls.VersionTLS12 {
		t.Errorf("TLS version %x", v)
	}
}

// newTunnel is a proxy that connects everybody to one address, and tells what it was asked for.
func newTunnel(t *testing.T, address string, asked chan<- string) (url string) {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		select {
		case asked <- r.Host:
		default:
		}
		to, err := net.Dial("tcp", address)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// Names and messages with HTML in them are text on the page, and a real browser makes nothing else of them.
func TestPageWithHostileNames(t *testing.T) {
	const hostile = `</td></table><script>document.title = "owned"</script><img src="x" onerror="document.title = 'owned'">` +
		`<a href="javascript:alert(1)">'`
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	began := time.Now().Add(-time.Hour)
	sim.Set(simulator.Instance{InstanceID: "c-named", RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task {
		return []simulator.Task{{
			BackupTaskID: "bt-1", Status: "COMPLETED", Start: simulator.Millis(began), Finish: simulator.Millis(began.Add(time.Minute)),
			Snapshot: &simulator.Snapshot{InstanceName: hostile},
		}}
	}})
	long := strings.Repeat("x", 1000)
	sim.Set(simulator.Instance{InstanceID: "c-long", RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task {
		return []simulator.Task{{
			BackupTaskID: "bt-2", Status: "COMPLETED", Start: simulator.Millis(began), Finish: simulator.Millis(began.Add(time.Minute)),
			Snapshot: &simulator.Snapshot{InstanceName: long}, SubTasks: []simulator.SubTask{
				{Database: "مستودع", Table: long, Status: "success", Size: 1}, {Database: hostile, Table: long, Status: "failed"},
			},
		}}
	}})
	sim.Set(simulator.Instance{InstanceID: "c-refused", RegionID: "cn-hangzhou", Fault: simulator.EnvelopeError("InvalidParams", hostile)})
	api := httptest.NewServer(sim)
	t.Cleanup(api.Close)
	file, address := filepath.Join(t.TempDir(), "hostile.yml"), freeAddress(t)
	text := fmt.Sprintf("api: {endpoint: %q}\naccounts: {default: {access_key_id: id, access_key_secret: secret}}\ninstances:\n"+
		"- {instance_id: c-named, region_id: cn-hangzhou}\n- {instance_id: c-refused, region_id: cn-hangzhou}\n"+
		"- {instance_id: c-long, region_id: cn-hangzhou}\n- {instance_id: %q, region_id: cn-hangzhou}\n", api.URL, hostile)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, build(t), "--config.file="+file, "--web.listen-address="+address)
	eventually(t, "the exporter", func() error { _, err := fetch(t, "http://"+address+"/-/ready"); return err })
	page := dom(t, "http://"+address+"/")
	if n := strings.Count(page, "&lt;script&gt;"); n != 8 { // a name and an id (each also in attributes), a message, a table
		t.Errorf("the text is shown %d times", n)
	}
	if !strings.Contains(page, "<title>StarRocks backups: 1 unhealthy, 2 unknown, 1 healthy</title>") {
		t.Error("another title")
	}
	if n := strings.Count(page, "<script"); n != 1 {
		t.Errorf("the page has %d scripts, not only its own", n)
	}
	for _, element := range []string{"<img", "<link", "<iframe", `<a href="javascript`, `<a href="http`} {
		if strings.Contains(page, element) {
			t.Errorf("the page has %s:\n%s", element, page)
		}
	}
	b := newBrowser(t)
	for _, width := range []int{1400, 1000, 500} {
		b.look(width, "light")
		b.open("http://" + address + "/?open=cn-hangzhou/c-named&open=cn-hangzhou/c-long")
		b.picture(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%d.png", width)))
		if wide := b.evaluate("document.documentElement.scrollWidth"); wide != float64(width) {
			t.Errorf("in a window of %d pixels the page is %v wide", width, wide)
		}
		const title = `tr[data-instance="cn-hangzhou/c-long"] a.toggle`
		if high := b.evaluate("document.querySelector(`" + title + "`).getBoundingClientRect().height"); high.(float64) > 80 {
			t.Errorf("in a window of %d pixels a name of 1,000 characters is %v high", width, high)
		}
	}
}
