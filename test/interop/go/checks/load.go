package checks

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	workers = 8
	// enough is how many rounds pass before and after a restart.
	enough = 5 * workers
)

// Load makes rounds of calls while the test restarts the server. It ends some rounds after the program's input ended.
// It returns the results of the rounds, or the errors that there were.
func Load(round func() (string, error)) ([]string, []error) {
	var mutex sync.Mutex
	var results []string
	var failures []error
	isDone := false
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for {
				result, err := round()
				mutex.Lock()
				if err != nil {
					failures = append(failures, err)
				} else {
					results = append(results, result)
				}
				ends := isDone || err != nil
				mutex.Unlock()
				if ends {
					return
				}
			}
		})
	}
	// wait waits until there are some results more, or an error.
	wait := func() error {
		mutex.Lock()
		goal := len(results) + enough
		mutex.Unlock()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			mutex.Lock()
			isReached := len(results) >= goal || len(failures) > 0
			mutex.Unlock()
			if isReached {
				return nil
			}
		}
		return fmt.Errorf("fewer than %d rounds in a minute", enough)
	}
	before := wait()
	report(map[string]string{"ready": "restart"})
	io.Copy(io.Discard, os.Stdin)
	after := wait()
	mutex.Lock()
	isDone = true
	mutex.Unlock()
	running.Wait()
	for _, err := range []error{before, after} {
		if err != nil {
			failures = append(failures, err)
		}
	}
	fmt.Println(len(results), "rounds")
	return results, failures
}
