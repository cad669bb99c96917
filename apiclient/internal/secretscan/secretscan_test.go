package secretscan

import "testing"

func TestIn(t *testing.T) {
	s := New("canary-4711+0815abcdef", "pa-ss", "abc", "")
	for text, want := range map[string]bool{
		"canary-4711": false, "x0815abcd": true, "0815abc": false, "4711%2B0815abcdef": true, "not pa-ss, said the proxy": true, "abc": false,
		"": false,
	} {
		if got := s.In(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestInJSON(t *testing.T) {
	s := New("0815abcdef")
	for text, want := range map[string]bool{`{"a":["0815abcdef"]}`: true, `{"0815\u0061bcdef":1}`: true, `{"a":1}`: false} {
		if got, err := s.InJSON([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "<html>", `{"a":`} {
		if _, err := s.InJSON([]byte(text)); err == nil {
			t.Errorf("%q is JSON", text)
		}
	}
}
