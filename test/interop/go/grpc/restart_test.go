package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/app/checks"
	pb "example.com/app/gen/userlock/v3alpha"
	"google.golang.org/grpc/metadata"
)

// restart locks, reads and unlocks users, and follows the locks, while the test restarts the server.
func restart(ctx context.Context) {
	var mutex sync.Mutex
	counts := map[string]int{}
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		watch(watching, eventsAt("ADDRESS"), "0", func(event *pb.Event) {
			mutex.Lock()
			defer mutex.Unlock()
			counts[event.GetUserId()]++
		})
		close(ended)
	}()

	users := usersAt("ADDRESS")
	ids, failures := checks.Load(func() (string, error) {
		id, err := locked(ctx, users)
		if err != nil {
			return "", fmt.Errorf("lock: %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if _, err := users.GetUser(ctx, &pb.GetUserRequest{Id: id}); err != nil {
			return "", fmt.Errorf("get: %w", err)
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", rand.Text())
		_, err = users.UnlockUser(ctx, &pb.UnlockUserRequest{Id: id})
		return id, err
	})
	checks.Run("has no error while the server restarts", func() error { return errors.Join(failures...) })

	// times returns how many users were seen as often as that.
	times := func(count int) (users int) {
		mutex.Lock()
		defer mutex.Unlock()
		for _, id := range ids {
			if counts[id] == count {
				users++
			}
		}
		return users
	}
	for end := time.Now().Add(30 * time.Second); times(0) > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	<-ended
	checks.Run("gets each lock once while the server restarts", func() error {
		return checks.Equal("users whose lock was seen once", times(1), len(ids))
	})
}
