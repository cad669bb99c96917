//go:build system

package test

import (
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The Dockerfile, built for both architectures by buildah: nothing in the image but what is needed, the very binary of make build, and it
// runs.
func TestImage(t *testing.T) {
	images := newImages(t)
	images.buildah(
		"bud",
		"--platform=linux/amd64,linux/arm64",
		"--manifest=exporter",
		"--build-arg=BUILDPLATFORM=linux/"+runtime.GOARCH, // Debian 12's buildah does not fill it in
		"--build-arg=GO_IMAGE=localhost/golang",
		"--build-arg=VERSION=v",
		"--build-arg=REVISION=r",
		"--build-arg=BRANCH=b",
		"--build-arg=BUILD_USER=u",
		"--build-arg=BUILD_DATE=d",
		"--build-arg=CREATED=c",
		"--build-arg=SOURCE=s",
		"--volume=/usr:/usr:ro",
		"--volume="+goEnv(t, "GOROOT")+":/goroot:ro",
		"--volume="+filepath.Join(
			goEnv(t, "GOMODCACHE"),
			"cache/download",
		)+":/modules:ro",
		"--volume="+goEnv(t, "GOCACHE")+":/root/.cache/go-build",
		".",
	)
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		container := images.buildah("from", "--arch="+arch, "exporter")
		holdsWhatIsNeeded(t, images.buildah("mount", container), arch, machine)
		if arch == runtime.GOARCH {
			images.runs(container)
		}
	}
}

type images struct {
	t    *testing.T
	args []string
}

// newImages has an image localhost/golang, which stands in for the one that the Dockerfile names: what it lacks comes from this machine, by
// --volume.
func newImages(t *testing.T) images {
	t.Helper()
	store, base := t.TempDir(), t.TempDir()
	i := images{t, []string{"--storage-driver=vfs", "--root=" + filepath.Join(store, "root"), "--runroot=" + filepath.Join(store, "run")}}
	certificates := filepath.Join(base, "etc/ssl/certs")
	containerfile := "FROM scratch\nCOPY . /\nENV HOME=/root PATH=/goroot/bin:/usr/bin GOPROXY=file:///modules\n"
	for _, err := range []error{
		os.MkdirAll(certificates, 0o755),
		exec.Command("cp", "--dereference", "/etc/ssl/certs/ca-certificates.crt", certificates).Run(),
		exec.Command("cp", "--no-dereference", "/bin", "/lib", "/lib64", base).Run(), // links into /usr
		os.Mkdir(filepath.Join(base, "tmp"), 0o777),
		os.WriteFile(filepath.Join(base, "Containerfile"), []byte(containerfile), 0o600),
		exec.Command("go", "mod", "download").Run(), // all of them, as the Dockerfile does
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	i.buildah("bud", "--tag=localhost/golang", base)
	return i
}

// buildah answers with the last line: an id or a path.
func (i images) buildah(command string, args ...string) string {
	i.t.Helper()
	cmd := exec.CommandContext(i.t.Context(), "buildah", i.command(command, args...)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		i.t.Fatalf("buildah %s: %v\n%s%s", command, err, out, log.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

func (i images) command(command string, args ...string) []string {
	all := append(slices.Clone(i.args), command)
	switch command {
	case "bud":
		all = append(all, "--isolation=chroot", "--format=docker", "--pull-never") // the OCI format has no HEALTHCHECK
	case "run":
		all = append(all, "--isolation=chroot")
	}
	return append(all, args...)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

func holdsWhatIsNeeded(t *testing.T, root, arch string, machine elf.Machine) {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	want := []string{"LICENSE", "NOTICE", "etc/ssl/certs/ca-certificates.crt", "starrocks_backup_exporter"}
	if err != nil || !slices.Equal(files, want) {
		t.Errorf("%s: the image has %q, want %q: %v", arch, files, want, err)
	}
	if roots, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")); !x509.NewCertPool().AppendCertsFromPEM(roots) {
		t.Errorf("%s: no CA roots: %v", arch, err)
	}

	binary := filepath.Join(root, "starrocks_backup_exporter")
	header, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer header.Close()
	if header.Machine != machine {
		t.Errorf("%s: a binary for %s", arch, header.Machine)
	}
	made := filepath.Join(t.TempDir(), arch)
	build := exec.CommandContext(t.Context(), "make", "build", "BINARY="+made, "VERSION=v", "REVISION=r", "BRANCH=b", "BUILD_USER=u",
		"BUILD_DATE=d")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := exec.CommandContext(t.Context(), "cmp", binary, made).Run(); err != nil {
		t.Errorf("%s: the binary is not that of make build: %v", arch, err)
	}
}

// runs starts the image's demo as its configuration says, and asks for its health likewise.
func (i images) runs(container string) {
	i.t.Helper()
	var config struct {
		Docker struct {
			Config struct {
				Entrypoint  []string
				Healthcheck struct{ Test []string }
				Labels      map[string]string
			}
		}
	}
	out, err := exec.CommandContext(i.t.Context(), "buildah", i.command("inspect", container)...).Output()
	if err == nil {
		err = json.Unmarshal(out, &config)
	}
	entrypoint, check := config.Docker.Config.Entrypoint, config.Docker.Config.Healthcheck.Test
	if err != nil || len(entrypoint) != 1 || len(check) < 2 || check[0] != "CMD" { // CMD-SHELL would need a shell
		i.t.Fatalf("entrypoint %q, health check %q: %v\n%s", entrypoint, check, err, out)
	}
	for label, want := range map[string]string{
		"title": "starrocks_backup_exporter", "version": "v", "revision": "r", "created": "c", "source": "s", "licenses": "Apache-2.0",
	} {
		if got := config.Docker.Config.Labels["org.opencontainers.image."+label]; got != want {
			i.t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	healthy := func() error {
		out, err := exec.CommandContext(i.t.Context(), "buildah", i.command("run", append([]string{container, "--"}, check[1:]...)...)...).
			CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	if healthy() == nil {
		i.t.Error("healthy before it runs")
	}
	start(i.t, "buildah", i.command("run", container, "--", entrypoint[0], "--demo")...)
	eventually(i.t, "the demo in a container", func() error {
		text, err := fetch(i.t, "http://localhost:10980/metrics")
		if err == nil && !bytes.Contains(text, []byte("\nstarrocks_backup_up{")) {
			err = fmt.Errorf("no instance in %s", text)
		}
		return err
	})
	eventually(i.t, "its health", healthy)
	if uids := uidsOf(i.t, entrypoint[0], "--demo"); !slices.Equal(uids, []uint32{65534}) {
		i.t.Errorf("it runs as %d", uids)
	}
	i.knowsTimeZones(container, entrypoint[0])
}

// knowsTimeZones, though the image has no file of them.
func (i images) knowsTimeZones(container, entrypoint string) {
	i.t.Helper()
	file := filepath.Join(i.t.TempDir(), "exporter.yml")
	text := "instances: [{instance_id: c-1, region_id: cn-hangzhou, schedule: 30 2 * * *, time_zone: Asia/Shanghai}]"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		i.t.Fatal(err)
	}
	i.buildah("run", "--volume="+file+":/exporter.yml:ro", container, "--", entrypoint, "--config.file=/exporter.yml", "--config.check")
}

// uidsOf is of the processes with such a command line.
func uidsOf(t *testing.T, args ...string) (uids []uint32) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		line, _ := os.ReadFile(filepath.Join(p, "cmdline")) // it may have ended
		if string(line) != strings.Join(args, "\x00")+"\x00" {
			continue
		}
		owner, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		uids = append(uids, owner.Sys().(*syscall.Stat_t).Uid)
	}
	return uids
}
