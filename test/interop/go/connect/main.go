package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	pb "example.com/app/gen/userlock/v3alpha"
	api "example.com/app/gen/userlock/v3alpha/userlockv3alphaconnect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

// authorized returns a request with the token.
func authorized[T any](message *T) *connect.Request[T] {
	request := connect.NewRequest(message)
	request.Header().Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
	return request
}

// lock locks a user. It calls again while the server restarts, and the key makes these calls one lock.
func lock(ctx context.Context, users api.UserServiceClient, id, reason string) (*pb.LockUserResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	key := rand.Text()
	for {
		request := authorized(&pb.LockUserRequest{Id: id, Reason: reason})
		request.Header().Set("Idempotency-Key", key)
		response, err := users.LockUser(ctx, request)
		if err == nil {
			return response.Msg, nil
		}
		if connect.CodeOf(err) != connect.CodeUnavailable {
			return nil, err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// reasonOf returns the reason of an error, such as USER_ALREADY_LOCKED.
func reasonOf(err error) string {
	if failure := new(connect.Error); errors.As(err, &failure) {
		for _, detail := range failure.Details() {
			if value, err := detail.Value(); err == nil {
				if info, ok := value.(*errdetails.ErrorInfo); ok {
					return info.GetReason()
				}
			}
		}
	}
	return ""
}

// watch handles each lock after the cursor, until ctx ends or the server refuses. It goes on after a restart.
func watch(ctx context.Context, events api.EventServiceClient, cursor string, handle func(*pb.Event)) error {
	for {
		request := authorized(&pb.WatchEventsRequest{After: cursor, Types: []string{"user.locked"}})
		stream, err := events.WatchEvents(ctx, request)
		if err == nil {
			for stream.Receive() {
				if event := stream.Msg().GetEvent(); event != nil {
					handle(event)
				}
				cursor = stream.Msg().GetCursor()
			}
			err = stream.Err()
			stream.Close()
		}
		if code := connect.CodeOf(err); code != connect.CodeUnavailable && code != connect.CodeResourceExhausted {
			return err
		}
		time.Sleep(time.Second)
	}
}

func main() {
	users := api.NewUserServiceClient(http.DefaultClient, "http://127.0.0.1:8080")
	if response, err := lock(context.Background(), users, "alice", "fraud"); err != nil {
		fmt.Println("refused:", reasonOf(err), err)
	} else {
		fmt.Println("locked at", response.GetDetails().GetChanged().AsTime())
	}
	events := api.NewEventServiceClient(http.DefaultClient, "http://127.0.0.1:8080")
	fmt.Println(watch(context.Background(), events, "0", func(event *pb.Event) {
		fmt.Println(event.GetUserId(), "was locked at", event.GetTime().AsTime())
	}))
}
