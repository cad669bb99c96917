// Command verify says which assumptions about the API a recording confirms or breaks: go run ./apiclient/recording/verify DIRECTORY.
// It reads the recorded JSON by itself, so that it does not share a mistake with the client.
package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verify DIRECTORY")
		os.Exit(2)
	}
	broken, err := verify(os.DirFS(os.Args[1]), os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(2)
	case broken > 0:
		os.Exit(1)
	}
}

// verify writes a line for each assumption, and returns how many the recording breaks.
func verify(directory fs.FS, w io.Writer) (broken int, err error) {
	exchanges, err := readExchanges(directory)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(w, "%d recorded requests\n\n", len(exchanges))
	for _, a := range assumptions() {
		a.look(exchanges)
		verdict := "not seen "
		switch {
		case len(a.against) > 0:
			verdict = "BROKEN   "
			broken++
		case a.confirmed > 0:
			verdict = "confirmed"
		}
		fmt.Fprintf(w, "%s  %s (seen %d times)\n", verdict, a.says, a.confirmed+len(a.against))
		const most = 5
		for n, detail := range a.against {
			if n == most {
				fmt.Fprintf(w, "             and %d more\n", len(a.against)-most)
				break
			}
			fmt.Fprintf(w, "             %s\n", detail)
		}
	}
	return broken, nil
}
