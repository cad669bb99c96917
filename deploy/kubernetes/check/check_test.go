package check

import "testing"

func TestBase(t *testing.T) {
	checkSchemas(t, render(t, base))
}
