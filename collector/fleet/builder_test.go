package fleet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// certificate makes a certificate that signs itself, for 127.0.0.1.
func certificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newTestBuilder(logs *strings.Builder) *Builder {
	return NewBuilder(nobody{}, time.Now, Shard{}, log.NewLogfmtLogger(log.NewSyncWriter(logs)))
}

func build(t *testing.T, b *Builder, text string) *Fleet {
	t.Helper()
	c, err := config.Parse("test.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f, err := b.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func readFirst(t *testing.T, f *Fleet) error {
	t.Helper()
	for _, err := range f.Targets[0].Lister.Backups(t.Context(), apiclient.DescribeBackupsRequest{InstanceID: f.Targets[0].InstanceID}) {
		return err
	}
	return nil
}

// A reload reads a renewed CA, though no setting has changed.
func TestReloadReadsARenewedCA(t *testing.T) {
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "r"})
	file := filepath.Join(t.TempDir(), "ca.pem")
	server := httptest.NewUnstartedServer(sim)
	first, ca := certificate(t)
	current := first
	server.TLS = &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &current, nil },
	}
	server.StartTLS()
	server.TLS.Certificates = nil
	defer server.Close()
	write := func(pem []byte) {
		if err := os.WriteFile(file, pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ca)
	text := fmt.Sprintf("api: {endpoint: %q, max_attempts: 1, http_client: {tls_config: {ca_file: %q, server_name: 127.0.0.1}}}\n"+
		"accounts: {default: {access_key_id: id, access_key_secret: secret}}\ninstances: [{instance_id: c-1, region_id: r}]", server.URL, file)
	b := newTestBuilder(&strings.Builder{})
	if err := readFirst(t, build(t, b, text)); err != nil {
		t.Fatal(err)
	}
	kept := b.transports.kept
	if build(t, b, text); b.transports.kept != kept {
		t.Error("a reload without changes gave up the connections")
	}
	current, ca = certificate(t)
	server.CloseClientConnections()
	write(ca)
	if err := readFirst(t, build(t, b, text)); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	if b.transports.kept == kept {
		t.Error("the renewed file was not noticed")
	}
}

// Credentials outlive a reload as long as their source stays the same, and a change of identity is logged and told.
func TestCredentialsOverReloads(t *testing.T) {
	var logs strings.Builder
	b := newTestBuilder(&logs)
	text := "accounts: {default: {access_key_id: id, access_key_secret: %s}}\ninstances: [{instance_id: c-1, region_id: r}]"
	build(t, b, fmt.Sprintf(text, "one"))
	before := b.credentials["default"].Credentials
	if build(t, b, fmt.Sprintf(text, "one")); b.credentials["default"].Credentials != before {
		t.Error("a reload without changes made new credentials")
	}
	if build(t, b, fmt.Sprintf(text, "two")); b.credentials["default"].Credentials == before {
		t.Error("a reload with another secret kept the credentials")
	}
	b.identityChanged("prod")("ecs_ram_role", "")
	b.identityChanged("prod")("ecs_ram_role", "oidc_role_arn")
	if l := logs.String(); strings.Count(l, "level=warn") != 1 || !strings.Contains(l, "previous_provider=oidc_role_arn") ||
		!strings.Contains(l, "account=prod") {
		t.Errorf("log:\n%s", l)
	}
}

// What a configuration says reaches the fleet and its clients, at a reload too.
func TestFleetOfAConfiguration(t *testing.T) {
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "new"}})
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "r", Tasks: func(time.Time) []simulator.Task {
		return []simulator.Task{{BackupTaskID: "a", Status: "HUMAN_PROCESSING"}}
	}})
	server := httptest.NewServer(sim)
	defer server.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	write := func(s string) {
		if err := os.WriteFile(secret, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf("api: {endpoint: %q, max_attempts: 1, concurrency: %%d}\nbackups: {status_words: {Human_Processing: failed}}\n"+
		"accounts: {default: {access_key_id: id, access_key_secret_file: %q}}\n"+
		"instances: [{instance_id: c-1, region_id: r}, {instance_id: c-2, region_id: r}]\ndiscovery: [{region_id: r}]", server.URL, secret)
	var logs strings.Builder
	b := newTestBuilder(&logs)
	write("old")
	f := build(t, b, fmt.Sprintf(text, 1))
	if len(f.Targets) != 2 || f.Targets[0].Lister != f.Targets[1].Lister || len(f.Discoveries) != 1 || f.Discoveries[0].RegionID != "r" {
		t.Fatalf("%+v", f)
	}
	if err := readFirst(t, f); apiclient.ReasonOf(err) != apiclient.ReasonUnauthorized {
		t.Fatalf("with the old secret: %v", err)
	}
	if name, _ := f.Credentials["default"].Provider(); name == "" || !strings.Contains(logs.String(), "credentials obtained") {
		t.Errorf("provider %q, log:\n%s", name, logs.String())
	}
	write("new")
	f = build(t, b, fmt.Sprintf(text, 1))
	for task, err := range f.Targets[0].Lister.Backups(t.Context(), apiclient.DescribeBackupsRequest{InstanceID: "c-1"}) {
		if err != nil || task.Status != apiclient.StatusFailed {
			t.Errorf("with the new secret: %v, %v", task.Status, err)
		}
	}

	// Requests of the fleet before count against the limit of the fleet after.
	place, err := f.Targets[0].Lister.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer place.Release()
	full, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := build(t, b, fmt.Sprintf(text, 1)).Targets[0].Lister.Acquire(full); err == nil {
		t.Error("two requests in flight with concurrency 1")
	}
	second, err := build(t, b, fmt.Sprintf(text, 2)).Targets[0].Lister.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second.Release()
}

// A file that cannot be read is an error, and the previous fleet stays.
func TestReloadWithoutItsCA(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := fmt.Sprintf("api: {http_client: {tls_config: {ca_file: %q}}}\ninstances: [{instance_id: c-1, region_id: r}]", file)
	b := newTestBuilder(&strings.Builder{})
	build(t, b, "instances: [{instance_id: c-1, region_id: r}]")
	before := b.transports.kept
	for _, content := range []string{"", "no certificate"} {
		if content != "" {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := config.Parse("test.yml", []byte(text))
		if err == nil {
			_, err = b.Build(c)
		}
		if err == nil {
			t.Errorf("built with the CA %q", content)
		}
	}
	if build(t, b, "instances: [{instance_id: c-1, region_id: r}]"); b.transports.kept != before {
		t.Error("a failed reload gave up the connections")
	}
}
