//go:build linux

// Package test tests the built program. The tests with the tag system run it with real clients and servers.
package test

import (
	"fmt"
	"os"
	"testing"
)

// TestMain runs the tests in the root of the repository, from which they name files. It is also the process that measures the floor.
func TestMain(m *testing.M) {
	if url := os.Getenv("BENCH_FLOOR"); url != "" {
		if err := fetchAll(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := os.Chdir(".."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
