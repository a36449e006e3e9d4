package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"os"
	"time"

	pb "example.com/app/gen/userlock/v3alpha"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

//go:embed service-config.json
var serviceConfig string

// dial takes "host:port". With TLS, security is credentials.NewTLS(nil).
func dial(address string, security credentials.TransportCredentials) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(security), grpc.WithDefaultServiceConfig(serviceConfig))
}

// lock locks a user. The key makes it one lock, even if gRPC makes the call again.
func lock(ctx context.Context, users pb.UserServiceClient, id, reason string) (*pb.LockUserResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", rand.Text())
	return users.LockUser(ctx, &pb.LockUserRequest{Id: id, Reason: reason})
}

// reasonOf returns the reason of an error, such as USER_ALREADY_LOCKED.
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// watch handles each lock after the cursor, until ctx ends or the server refuses. It goes on after a restart.
func watch(ctx context.Context, events pb.EventServiceClient, cursor string, handle func(*pb.Event)) error {
	for {
		stream, err := events.WatchEvents(ctx, &pb.WatchEventsRequest{After: cursor, Types: []string{"user.locked"}})
		for err == nil {
			var message *pb.WatchEventsResponse
			if message, err = stream.Recv(); err == nil {
				if message.GetEvent() != nil {
					handle(message.GetEvent())
				}
				cursor = message.GetCursor()
			}
		}
		if code := status.Code(err); code != codes.Unavailable && code != codes.ResourceExhausted {
			return err
		}
		time.Sleep(time.Second)
	}
}

func main() {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+os.Getenv("TOKEN"))
	calls, _ := dial("127.0.0.1:8080", insecure.NewCredentials())
	if response, err := lock(ctx, pb.NewUserServiceClient(calls), "alice", "fraud"); err != nil {
		fmt.Println("refused:", reasonOf(err), err)
	} else {
		fmt.Println("locked at", response.GetDetails().GetChanged().AsTime())
	}
	// A channel of its own.
	watching, _ := dial("127.0.0.1:8080", insecure.NewCredentials())
	fmt.Println(watch(ctx, pb.NewEventServiceClient(watching), "0", func(event *pb.Event) {
		fmt.Println(event.GetUserId(), "was locked at", event.GetTime().AsTime())
	}))
}
