//go:build system

package test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// canary is part of every secret that goes in. It must come out nowhere.
const canary = "canary4711secret"

// No secret leaves the process, whichever way it came in: through pages, metrics, pprof's texts, the log at its loudest, the answer
// to a reload, a recording, --config.check, or the trace of a process that is aborted. In each case the API accepts the credential at
// first,
// then refuses it with an echo of what was signed, and the token service, where there is one, then answers with secrets too.
func TestNoSecretLeaves(t *testing.T) {
	binary := build(t)
	home := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	secretFile, tokenFile := write("secret", canary), write("token", canary)
	write(
		".aliyun/config.json",
		`{"current":"x","profiles":[{"name":"x","mode":"StsToken","access_key_id":"id",`+
			`"access_key_secret":"`+canary+`","sts_token":"`+canary+`"}]}`,
	)
	write("broken/.aliyun/config.json", `{"current":"x","profiles":"`+canary+`"`)
	write("shared/credentials", "[default]\ntype = access_key\naccess_key_id = id\naccess_key_secret = "+canary+"\n")
	for name, c := range map[string]struct {
		account  string
		env      []string
		sts      bool // asks the token service
		unusable bool // no credential comes of it
	}{
		"file": {account: "{access_key_id: id, access_key_secret: " + canary + ", security_token: " + canary + "}"},
		"secret files": {account: "{access_key_id: id, access_key_secret_file: '" + secretFile + "', security_token_file: '" + tokenFile +
			"'}"},
		"role": {account: "{access_key_id: id, access_key_secret: " + canary + ", role_arn: 'acs:ram::1:role/r'}", sts: true},
		"environment": {account: "{}", env: []string{
			"ALIBABA_CLOUD_ACCESS_KEY_ID=id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + canary,
			"ALIBABA_CLOUD_SECURITY_TOKEN=" + canary,
		}},
		"CLI profile":    {account: "{}"},
		"broken profile": {account: "{}", env: []string{"HOME=" + filepath.Join(home, "broken")}, unusable: true},
		"shared profile": {account: "{}", env: []string{"ALIBABA_CLOUD_CLI_PROFILE_DISABLED=true", "ALIBABA_CLOUD_CREDENTIALS_FILE=" +
			filepath.Join(home, "shared/credentials")}},
		"OIDC token": {account: "{}", sts: true, env: []string{
			"ALIBABA_CLOUD_OIDC_TOKEN_FILE=" + tokenFile, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN=acs:ram::1:oidc-provider/p",
			"ALIBABA_CLOUD_ROLE_ARN=acs:ram::1:role/r",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			api := newRefusingAPI(t)
			sts := newTokenService(t)
			file := write(
				"exporter.yml",
				fmt.Sprintf(
					"api: {endpoint: %q, max_attempts: 2}\naccounts: {default: %s}\ninstances: [{instance_id: c-1, region_id: cn-hangzhou}]",
					api.url,
					c.account,
				),
			)
			out := &bytes.Buffer{}
			address, recording := freeAddress(t), t.TempDir()
			cmd := exec.CommandContext(
				t.Context(),
				binary,
				"--config.file="+file,
				"--log.level=debug",
				"--web.enable-lifecycle",
				"--web.listen-address="+address,
				"--api.record="+recording,
			)
			cmd.Env = append(
				[]string{
					"HOME=" + home,
					"ALIBABA_CLOUD_ECS_METADATA_DISABLED=true",
					"HTTPS_PROXY=" + sts.proxy,
					"SSL_CERT_FILE=" + sts.authority,
					"GOTRACEBACK=crash",
				},
				c.env...)
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			look := func(where, text string) {
				t.Helper()
				if strings.Contains(text, canary) {
					t.Errorf("%s holds a secret:\n%s", where, text)
				}
			}
			get := func(path string) string {
				t.Helper()
				var body []byte
				eventually(t, path, func() error {
					res, err := http.Get("http://" + address + path)
					if err != nil {
						return err
					}
					defer res.Body.Close()
					body, err = io.ReadAll(res.Body)
					return err
				})
				look(path, string(body))
				return string(body)
			}
			up := `starrocks_backup_up{instance_id="c-1",region_id="cn-hangzhou"} `
			if body := get("/metrics"); !strings.Contains(body, up+"1") != c.unusable {
				t.Errorf("the credential does not serve:\n%s\n%s", body, out)
			}
			api.refuse.Store(true)
			sts.refuse.Store(true)
			for range 3 {
				if body := get("/metrics"); !strings.Contains(body, up+"0") {
					t.Errorf("the credential still serves:\n%s", body)
				}
			}
			for _, path := range []string{
				"/", "/config", "/-/ready", "/nowhere", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2",
				"/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1", "/debug/pprof/symbol",
			} {
				get(path)
			}
			write("exporter.yml", "accounts: {default: {access_key_secret: [ "+canary+" ]}}\n"+canary+": 1\nx: *"+canary)
			res, err := http.Post("http://"+address+"/-/reload", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			look("the answer to a reload", strings.ReplaceAll(string(answer), canary+": unknown field", ""))
			if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if !strings.Contains(out.String(), "goroutine 1") || c.sts && sts.asked.Load() < 2 {
				t.Errorf("no trace, or the token service was asked %d times:\n%s", sts.asked.Load(), out)
			}
			answers, err := filepath.Glob(recording + "/*.http")
			if err != nil || (len(answers) < 2) != c.unusable {
				t.Errorf("%d answers are recorded, %v", len(answers), err)
			}
			for _, file := range answers {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				look(file, string(text))
			}
			look("the log, or the trace", strings.ReplaceAll(out.String(), canary+": unknown field", ""))
		})
	}
	for _, account := range []string{
		"{access_key_id: id, access_key_secret: " + canary + ", access_key_secret_file: x}",
		"{access_key_id: id, access_key_secret: [" + canary + "]}",
		"{access_key_secret: " + canary + "}",
		"{access_key_id: id, access_key_secret: " + canary + ", role_arn: oops}",
		"{access_key_id: id, access_key_secret: !!binary " + canary + "}",
		"{access_key_id: id, access_key_secret: *" + canary + "}",
		"{access_key_id: id, access_key_secret: \"" + canary,
	} {
		file := write(
			"check.yml",
			"accounts: {default: "+account+"}\napi: {http_client: {proxy_url: 'http://u:"+canary+"@h :1'}}\ninstances: [{instance_id: c-1, "+
				"region_id: cn-hangzhou}]",
		)
		out, err := exec.CommandContext(t.Context(), binary, "--config.check", "--config.file="+file).CombinedOutput()
		if err == nil || strings.Contains(string(out), canary) {
			t.Errorf("--config.check of %s: %v\n%s", account, err, out)
		}
	}
}

// refusingAPI takes any credential, until it refuses all.
type refusingAPI struct {
	url     string
	refuse  atomic.Bool
	refused atomic.Int32
}

func newRefusingAPI(t *testing.T) *refusingAPI {
	t.Helper()
	a := &refusingAPI{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.refuse.Load() {
			w.WriteHeader(http.StatusBadRequest)
			code, said := "SignatureDoesNotMatch", canary // such words can hold anything
			if a.refused.Add(1)%2 == 0 {
				code, said = "InvalidParameter", "" // these only what was sent
			}
			fmt.Fprintf(w, `{"Code":"%s","Message":"string to sign is %s %s","RequestId":"r"}`, code, said, r.Header.Get("x-acs-security-token"))
			return
		}
		fmt.Fprint(w, `{"Success":true,"Data":[],"Total":0}`)
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// tokenService plays the vendor's, behind a proxy that every connection is sent through, with a certificate of its own authority.
type tokenService struct {
	proxy, authority string
	refuse           atomic.Bool
	asked            atomic.Int64
}

func newTokenService(t *testing.T) *tokenService {
	t.Helper()
	s := &tokenService{}
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.asked.Add(1)
		if s.refuse.Load() {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"Code":"NoPermission","Message":"%s"}`, canary)
			return
		}
		fmt.Fprintf(
			w,
			`{"Credentials":{"AccessKeyId":"sts","AccessKeySecret":"%s","SecurityToken":"%[1]s","Expiration":%q}}`,
			canary,
			time.Now().Add(10*time.Second).UTC().Format("2006-01-02T15:04:05Z"),
		)
	}))
	authority := newAuthority(t)
	service.TLS = &tls.Config{Certificates: []tls.Certificate{authority.issue(t, "sts.aliyuncs.com")}}
	service.StartTLS()
	t.Cleanup(service.Close)
	s.authority = authority.file
	s.proxy = newTunnel(t, service.Listener.Addr().String(), nil)
	return s
}
