package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/app/checks"
	pb "example.com/app/gen/userlock/v3alpha"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// TestMain makes checks instead of tests, because checks print as they pass.
func TestMain(*testing.M) {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+checks.Need("TOKEN"))
	if os.Getenv("MODE") == "restart" {
		restart(ctx)
		return
	}
	var pinging sync.WaitGroup
	pinging.Go(func() {
		checks.Run("keeps its connection with pings for 60 seconds", func() error { return pings(ctx) })
	})
	for name, check := range map[string]func(context.Context) error{
		"locks a user, and reads from ErrorInfo why a second lock is refused": locks,
		"reads from ErrorInfo that the token is missing":                      withoutToken,
		"gets each lock once from a stream that resumes after a cursor":       resumes,
		"watches on a connection of its own":                                  watchesApart,
		"ends a call and a stream at their deadlines":                         deadlines,
		"sends and reads messages in gzip":                                    compresses,
		"reads from ErrorInfo that a message is too large, and calls again":   overTheLimit,
		"locks a user over TLS, and trusts no other certificate":              overTLS,
		"makes 1,000 calls at once on one channel":                            manyAtOnce,
	} {
		checks.Run(name, func() error {
			ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
			defer cancel()
			return check(ctx)
		})
	}
	pinging.Wait()
}

// dialTo opens a channel to an address in the environment.
func dialTo(name string) *grpc.ClientConn {
	conn, err := dial(checks.Need(name), insecure.NewCredentials())
	if err != nil {
		panic(err)
	}
	return conn
}

func usersAt(name string) pb.UserServiceClient   { return pb.NewUserServiceClient(dialTo(name)) }
func eventsAt(name string) pb.EventServiceClient { return pb.NewEventServiceClient(dialTo(name)) }

// add creates a user and returns the id.
func add(ctx context.Context, users pb.UserServiceClient) (string, error) {
	id := rand.Text()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", rand.Text())
	_, err := users.CreateUser(ctx, &pb.CreateUserRequest{User: &pb.CreateUser{UserId: &id}})
	return id, err
}

// locked creates a user, locks them and returns the id.
func locked(ctx context.Context, users pb.UserServiceClient) (string, error) {
	id, err := add(ctx, users)
	if err == nil {
		_, err = lock(ctx, users, id, "fraud")
	}
	return id, err
}

// refused returns an error if err is not the expected refusal.
func refused(err error, code codes.Code, reason string) error {
	return checks.Equal("the refusal", fmt.Sprint(status.Code(err), " ", reasonOf(err)), fmt.Sprint(code, " ", reason))
}

func locks(ctx context.Context) error {
	users := usersAt("ADDRESS")
	id, err := locked(ctx, users)
	if err != nil {
		return err
	}
	got, err := users.GetUser(ctx, &pb.GetUserRequest{Id: id})
	_, again := lock(ctx, users, id, "fraud")
	return errors.Join(
		err,
		checks.Equal("the state", got.GetUser().GetState(), pb.State_USER_STATE_LOCKED),
		checks.Equal("the reason", got.GetUser().GetLock().GetReason(), "fraud"),
		refused(again, codes.FailedPrecondition, "USER_ALREADY_LOCKED"),
	)
}

func withoutToken(context.Context) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := usersAt("ADDRESS").GetUser(ctx, &pb.GetUserRequest{Id: "someone"})
	return refused(err, codes.Unauthenticated, "TOKEN_MISSING")
}

// seen follows events from a cursor to the lock of a user. It returns the cursor there, and how often it saw each user.
func seen(ctx context.Context, events pb.EventServiceClient, cursor, until string) (string, map[string]int, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	counts := map[string]int{}
	end := watch(ctx, events, cursor, func(event *pb.Event) {
		counts[event.GetUserId()]++
		if event.GetUserId() == until {
			cursor = event.GetCursor()
			stop()
		}
	})
	return cursor, counts, checks.Equal("the end of the stream", status.Code(end), codes.Canceled)
}

func resumes(ctx context.Context) error {
	users, events := usersAt("ADDRESS"), eventsAt("ADDRESS")
	first, err := locked(ctx, users)
	if err != nil {
		return err
	}
	cursor, before, err := seen(ctx, events, "0", first)
	if err != nil {
		return err
	}
	second, err := locked(ctx, users)
	if err != nil {
		return err
	}
	_, after, err := seen(ctx, events, cursor, second)
	return errors.Join(
		err,
		checks.Equal("locks of the first user, at first", before[first], 1),
		checks.Equal("locks of the first user, after the cursor", after[first], 0),
		checks.Equal("locks of the second user, after the cursor", after[second], 1),
	)
}

func watchesApart(ctx context.Context) error {
	id, err := locked(ctx, usersAt("WATCHED_ADDRESS"))
	if err != nil {
		return err
	}
	_, counts, err := seen(ctx, eventsAt("WATCHED_ADDRESS"), "0", id)
	return errors.Join(err, checks.Equal("locks of the user", counts[id], 1))
}

func deadlines(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	start := time.Now()
	_, late := usersAt("HELD_ADDRESS").LockUser(ctx, &pb.LockUserRequest{Id: checks.Need("HELD_USER")})
	end := watch(ctx, eventsAt("ADDRESS"), "", func(*pb.Event) {})
	return errors.Join(
		checks.Equal("the end of the call", status.Code(late), codes.DeadlineExceeded),
		checks.Equal("the end of the stream", status.Code(end), codes.DeadlineExceeded),
		checks.Equal("ended in time", time.Since(start) < 10*time.Second, true),
	)
}

func compresses(ctx context.Context) error {
	users, text := usersAt("GZIP_ADDRESS"), strings.Repeat("x", 2_000)
	data, err := structpb.NewStruct(map[string]any{"text": text})
	if err != nil {
		return err
	}
	request := &pb.CreateUserRequest{User: &pb.CreateUser{Data: data}}
	created, err := users.CreateUser(ctx, request, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return err
	}
	got, err := users.GetUser(ctx, &pb.GetUserRequest{Id: created.GetDetails().GetId()}, grpc.UseCompressor(gzip.Name))
	return errors.Join(err, checks.Equal("the text", got.GetUser().GetData().GetFields()["text"].GetStringValue(), text))
}

func overTheLimit(ctx context.Context) error {
	users := usersAt("ADDRESS")
	for _, size := range []int{70_000, 8_000_000} {
		_, err := lock(ctx, users, "someone", strings.Repeat("x", size))
		if err := refused(err, codes.ResourceExhausted, "TOO_LARGE"); err != nil {
			return fmt.Errorf("a message of %d bytes: %w", size, err)
		}
	}
	_, err := locked(ctx, users)
	return err
}

func overTLS(ctx context.Context) error {
	security, err := credentials.NewClientTLSFromFile(checks.Need("CA_FILE"), "")
	if err != nil {
		return err
	}
	conn, err := dial(checks.Need("TLS_ADDRESS"), security)
	if err != nil {
		return err
	}
	_, err = locked(ctx, pb.NewUserServiceClient(conn))
	// Without the service config, because that waits for a good certificate.
	other, failure := grpc.NewClient(checks.Need("TLS_ADDRESS"), grpc.WithTransportCredentials(credentials.NewTLS(nil)))
	if failure != nil {
		return failure
	}
	_, distrusted := pb.NewUserServiceClient(other).GetUser(ctx, &pb.GetUserRequest{Id: "someone"})
	return errors.Join(
		err,
		checks.Equal("the call to an unknown certificate", status.Code(distrusted), codes.Unavailable),
		checks.Equal("its error names the certificate", strings.Contains(fmt.Sprint(distrusted), "certificate"), true),
	)
}

func manyAtOnce(ctx context.Context) error {
	users := usersAt("ADDRESS")
	failures := make(chan error, 1_000)
	for range cap(failures) {
		go func() {
			_, err := locked(ctx, users)
			failures <- err
		}()
	}
	var last error
	failed := 0
	for range cap(failures) {
		if err := <-failures; err != nil {
			failed, last = failed+1, err
		}
	}
	return errors.Join(last, checks.Equal("failed calls", failed, 0))
}

// pings as often as grpc-go can: every 10 s.
func pings(ctx context.Context) error {
	conn, err := grpc.NewClient(checks.Need("PINGED_ADDRESS"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}))
	if err != nil {
		return err
	}
	users := pb.NewUserServiceClient(conn)
	id, err := add(ctx, users)
	if err != nil {
		return err
	}
	time.Sleep(time.Minute)
	_, err = users.GetUser(ctx, &pb.GetUserRequest{Id: id})
	return err
}
