package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
)

// exchange is a recorded request and its answer.
type exchange struct {
	file   string
	action string
	query  url.Values
	status int    // 0 if no answer came
	body   object // nil if the answer is no JSON object
}

type object = map[string]any

// items returns Data.
func (e *exchange) items() (all []object) {
	data, _ := e.body["Data"].([]any)
	for _, one := range data {
		if o, ok := one.(object); ok {
			all = append(all, o)
		}
	}
	return all
}

func (e *exchange) succeeded() bool { return e.status == http.StatusOK && e.body["Success"] == true }

func readExchanges(directory fs.FS) (all []*exchange, err error) {
	files, err := fs.Glob(directory, "*.http")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		content, err := fs.ReadFile(directory, name)
		if err != nil {
			return nil, err
		}
		e, err := readExchange(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		e.file = name
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil, errors.New("no recording (*.http) found")
	}
	return all, nil
}

func readExchange(content []byte) (*exchange, error) {
	r := bufio.NewReader(bytes.NewReader(content))
	request, err := http.ReadRequest(r)
	if err != nil {
		return nil, err
	}
	e := &exchange{action: request.Header.Get("x-acs-action"), query: request.URL.Query()}
	if _, err := r.Peek(1); errors.Is(err, io.EOF) {
		return e, nil
	}
	answer, err := http.ReadResponse(r, request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	e.status = answer.StatusCode
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	_ = json.Unmarshal(body, &e.body) // an answer that is no object has none
	return e, nil
}
