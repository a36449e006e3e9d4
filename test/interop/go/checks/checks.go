// Package checks reports to the test that runs a program.
package checks

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

var printing sync.Mutex

func report(line map[string]string) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

// Run makes a check, and prints a line of JSON with its error if it has one.
func Run(name string, check func() error) {
	line := map[string]string{"check": name}
	if err := check(); err != nil {
		line["error"] = err.Error()
	}
	report(line)
}

// Equal returns an error if two values differ.
func Equal[T comparable](what string, got, want T) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s: got %v, want %v", what, got, want)
}

// Need returns a variable of the environment.
func Need(name string) string {
	value := os.Getenv(name)
	if value == "" {
		panic("no " + name + " in the environment")
	}
	return value
}
