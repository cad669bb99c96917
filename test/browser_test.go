//go:build system

package test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// browser is Chromium with one page, spoken to over the pipe of its DevTools protocol.
type browser struct {
	t       *testing.T
	to      io.Writer
	from    *bufio.Reader
	session string
	calls   int
}

type object = map[string]any

func newBrowser(t *testing.T) *browser {
	t.Helper()
	requests, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(
		context.WithoutCancel(t.Context()), "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--hide-scrollbars",
		"--user-data-dir="+filepath.Join(t.TempDir(), "chromium"), "about:blank",
	)
	cmd.ExtraFiles = []*os.File{requests, answers} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	requests.Close()
	answers.Close()
	b := &browser{t: t, to: write, from: bufio.NewReaderSize(read, 1<<20)}
	t.Cleanup(func() {
		fmt.Fprint(write, `{"id": -1, "method": "Browser.close"}`+"\x00")
		_ = cmd.Wait()
		write.Close()
		read.Close()
	})
	target := b.call("Target.createTarget", object{"url": "about:blank"})
	attached := b.call("Target.attachToTarget", object{"targetId": target["targetId"], "flatten": true})
	b.session, _ = attached["sessionId"].(string)
	b.call("Page.enable", nil)
	return b
}

// call calls a method of the protocol and returns its result.
func (b *browser) call(method string, parameters object) object {
	b.t.Helper()
	b.calls++
	message := object{"id": b.calls, "method": method}
	if parameters != nil {
		message["params"] = parameters
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		text, err := b.from.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int
			Result object
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(text[:len(text)-1], &answer); err != nil {
			b.t.Fatal(err)
		}
		switch {
		case answer.ID != b.calls: // an event
		case answer.Error != nil:
			b.t.Fatalf("%s: %s", method, answer.Error.Message)
		default:
			return answer.Result
		}
	}
}

// evaluate returns the value of an expression on the page; that of a promise once it is kept.
func (b *browser) evaluate(expression string) any {
	b.t.Helper()
	result := b.call("Runtime.evaluate", object{"expression": expression, "awaitPromise": true, "returnByValue": true})
	if thrown, ok := result["exceptionDetails"]; ok {
		b.t.Fatalf("%s: %v", expression, thrown)
	}
	value, _ := result["result"].(object)
	return value["value"]
}

// open goes to an address.
func (b *browser) open(url string) {
	b.t.Helper()
	if failed, ok := b.call("Page.navigate", object{"url": url})["errorText"]; ok {
		b.t.Fatalf("%s: %v", url, failed)
	}
	b.until("document.readyState === 'complete' && location.href !== 'about:blank'")
}

// until waits until an expression is true.
func (b *browser) until(expression string) {
	b.t.Helper()
	eventually(b.t, expression, func() error {
		if b.evaluate(expression) != true {
			return fmt.Errorf("the page is:\n%.3000v", b.evaluate("document.body?.innerText"))
		}
		return nil
	})
}

// click clicks in the middle of an element, as a mouse does.
func (b *browser) click(selector string) {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	at, ok := b.evaluate(fmt.Sprintf(`(() => {
		const e = document.querySelector(%s);
		if (!e) return null;
		e.scrollIntoView({block: "center"});
		const r = e.getClientRects()[0];
		return {x: r.x + Math.min(r.width / 2, 40), y: r.y + r.height / 2};
	})()`, quoted)).(object)
	if !ok {
		b.t.Fatalf("there is no %s", selector)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.call("Input.dispatchMouseEvent", object{"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1})
	}
}

// write types text into what has the focus.
func (b *browser) write(text string) { b.t.Helper(); b.call("Input.insertText", object{"text": text}) }

// look sets the width of the window and the colors that the reader prefers.
func (b *browser) look(width int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", object{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false})
	b.call("Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}}})
}

// picture writes what the page looks like to a file.
func (b *browser) picture(file string) {
	b.t.Helper()
	height, _ := b.evaluate("document.documentElement.scrollHeight").(float64)
	b.pictureOfTop(file, height, 1)
}

// pictureOfTop writes what the top of the page looks like to a file, enlarged for screens with small pixels.
func (b *browser) pictureOfTop(file string, height, scale float64) {
	b.t.Helper()
	encoded, _ := b.call("Page.captureScreenshot", object{"captureBeyondViewport": true, "clip": object{
		"x": 0, "y": 0, "width": b.evaluate("innerWidth"), "height": height, "scale": scale,
	}})["data"].(string)
	png, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		err = os.WriteFile(file, png, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
