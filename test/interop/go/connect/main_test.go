package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"example.com/app/checks"
	pb "example.com/app/gen/userlock/v3alpha"
	api "example.com/app/gen/userlock/v3alpha/userlockv3alphaconnect"
	"google.golang.org/protobuf/types/known/structpb"
)

// target is a server that is called by a protocol.
type target struct {
	client  *http.Client
	url     string
	options []connect.ClientOption
}

func (s target) users() api.UserServiceClient {
	return api.NewUserServiceClient(s.client, s.url, s.options...)
}

func (s target) events() api.EventServiceClient {
	return api.NewEventServiceClient(s.client, s.url, s.options...)
}

// TestMain makes the checks instead of tests, because they print as they pass.
func TestMain(*testing.M) {
	ctx := context.Background()
	if os.Getenv("MODE") == "restart" {
		restart(ctx)
		return
	}
	clear, tls := checks.Need("URL"), "https://"+checks.Need("TLS_ADDRESS")
	for name, server := range map[string]target{
		"Connect over HTTP/1.1":           {http.DefaultClient, clear, nil},
		"Connect with JSON over HTTP/1.1": {http.DefaultClient, clear, []connect.ClientOption{connect.WithProtoJSON()}},
		"Connect over h2c":                {h2c(), clear, nil},
		"Connect over TLS":                {overTLS(), tls, nil},
		"gRPC over h2c":                   {h2c(), clear, []connect.ClientOption{connect.WithGRPC()}},
		"gRPC over TLS":                   {overTLS(), tls, []connect.ClientOption{connect.WithGRPC()}},
		"gRPC-Web over HTTP/1.1":          {http.DefaultClient, clear, []connect.ClientOption{connect.WithGRPCWeb()}},
	} {
		for what, check := range map[string]func(context.Context, target) error{
			"locks a user, and reads from ErrorInfo why a second lock is refused": locks,
			"gets each lock once from a stream that resumes after a cursor":       watches,
			"ends a stream at its deadline, and makes no call after it":           deadline,
			"sends and reads messages in gzip":                                    compresses,
			"reads from ErrorInfo that a message is too large, and calls again":   overTheLimit,
			"makes 200 calls at once":                                             manyAtOnce,
		} {
			checks.Run(name+": "+what, func() error { return check(ctx, server) })
		}
	}
}

// h2c speaks HTTP/2 in the clear.
func h2c() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}

// overTLS speaks HTTP/2 with TLS.
func overTLS() *http.Client {
	pem, err := os.ReadFile(checks.Need("CA_FILE"))
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
}

// add creates a user and returns the id.
func add(ctx context.Context, users api.UserServiceClient) (string, error) {
	id := rand.Text()
	_, err := users.CreateUser(ctx, authorized(&pb.CreateUserRequest{User: &pb.CreateUser{UserId: &id}}))
	return id, err
}

// codeAndReason returns an error if err is not the expected refusal.
func codeAndReason(err error, code connect.Code, reason string) error {
	return checks.Equal("the refusal", fmt.Sprint(connect.CodeOf(err), " ", reasonOf(err)), fmt.Sprint(code, " ", reason))
}

func locks(ctx context.Context, server target) error {
	users := server.users()
	id, err := add(ctx, users)
	if err != nil {
		return err
	}
	if _, err := lock(ctx, users, id, "fraud"); err != nil {
		return err
	}
	got, err := users.GetUser(ctx, authorized(&pb.GetUserRequest{Id: id}))
	if err != nil {
		return err
	}
	_, again := lock(ctx, users, id, "fraud")
	return errors.Join(
		checks.Equal("the state", got.Msg.GetUser().GetState(), pb.State_USER_STATE_LOCKED),
		codeAndReason(again, connect.CodeFailedPrecondition, "USER_ALREADY_LOCKED"),
	)
}

func watches(ctx context.Context, server target) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	users, events := server.users(), server.events()
	cursor, counts := "0", map[string]int{}
	// Two streams, the second of which begins after what the first one got.
	for range 2 {
		id, err := add(ctx, users)
		if err != nil {
			return err
		}
		if _, err := lock(ctx, users, id, "fraud"); err != nil {
			return err
		}
		streamCtx, stop := context.WithCancel(ctx)
		end := watch(streamCtx, events, cursor, func(event *pb.Event) {
			counts[event.GetUserId()]++
			if event.GetUserId() == id {
				cursor = event.GetCursor()
				stop()
			}
		})
		stop()
		if err := checks.Equal("the end of the stream", connect.CodeOf(end), connect.CodeCanceled); err != nil {
			return errors.Join(err, end)
		}
		if err := checks.Equal("locks of the user that were seen", counts[id], 1); err != nil {
			return err
		}
	}
	for id, count := range counts {
		if count != 1 {
			return fmt.Errorf("the lock of %s was seen %d times", id, count)
		}
	}
	return nil
}

func deadline(ctx context.Context, server target) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := watch(ctx, server.events(), "", func(*pb.Event) {})
	if took := time.Since(start); took > 10*time.Second {
		return fmt.Errorf("the stream took %s", took)
	}
	_, late := lock(ctx, server.users(), "nobody", "fraud")
	return errors.Join(
		checks.Equal("the end of the stream", connect.CodeOf(err), connect.CodeDeadlineExceeded),
		checks.Equal("a call after the deadline", connect.CodeOf(late), connect.CodeDeadlineExceeded),
	)
}

// codings is a transport that remembers how the last request and its answer were compressed.
type codings struct {
	http.RoundTripper
	request, answer string
}

func (c *codings) RoundTrip(request *http.Request) (*http.Response, error) {
	c.request = codingOf(request.Header)
	answer, err := c.RoundTripper.RoundTrip(request)
	if err == nil {
		c.answer = codingOf(answer.Header)
	}
	return answer, err
}

func codingOf(header http.Header) string {
	return header.Get("Content-Encoding") + header.Get("Grpc-Encoding")
}

func compresses(ctx context.Context, server target) error {
	seen := &codings{RoundTripper: server.client.Transport}
	if seen.RoundTripper == nil {
		seen.RoundTripper = http.DefaultTransport
	}
	server.client = &http.Client{Transport: seen}
	server.options = append([]connect.ClientOption{connect.WithSendGzip()}, server.options...)
	text := strings.Repeat("x", 2_000)
	data, err := structpb.NewStruct(map[string]any{"text": text})
	if err != nil {
		return err
	}
	created, err := server.users().CreateUser(ctx, authorized(&pb.CreateUserRequest{User: &pb.CreateUser{Data: data}}))
	if err != nil {
		return err
	}
	sent := seen.request
	got, err := server.users().GetUser(ctx, authorized(&pb.GetUserRequest{Id: created.Msg.GetDetails().GetId()}))
	if err != nil {
		return err
	}
	return errors.Join(
		checks.Equal("the coding of the request", sent, "gzip"),
		checks.Equal("the coding of the answer", seen.answer, "gzip"),
		checks.Equal("the text", got.Msg.GetUser().GetData().GetFields()["text"].GetStringValue(), text),
	)
}

func overTheLimit(ctx context.Context, server target) error {
	users := server.users()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, err := users.LockUser(ctx, authorized(&pb.LockUserRequest{Id: "u", Note: strings.Repeat("x", 70_000)}))
	_, next := add(ctx, users)
	return errors.Join(codeAndReason(err, connect.CodeResourceExhausted, "TOO_LARGE"), next)
}

func manyAtOnce(ctx context.Context, server target) error {
	users := server.users()
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	failures := make(chan error, 200)
	for range cap(failures) {
		go func() {
			id, err := add(ctx, users)
			if err == nil {
				_, err = lock(ctx, users, id, "fraud")
			}
			failures <- err
		}()
	}
	var all []error
	for range cap(failures) {
		all = append(all, <-failures)
	}
	return errors.Join(all...)
}

// restart locks users while the test restarts the server.
func restart(ctx context.Context) {
	users := api.NewUserServiceClient(http.DefaultClient, checks.Need("URL"))
	key := rand.Text()
	var number atomic.Int64
	_, failures := checks.Load(func() (string, error) {
		id := fmt.Sprint(key, "-", number.Add(1))
		for {
			request := authorized(&pb.CreateUserRequest{User: &pb.CreateUser{UserId: &id}})
			request.Header().Set("Idempotency-Key", id)
			_, err := users.CreateUser(ctx, request)
			if err == nil {
				break
			}
			if connect.CodeOf(err) != connect.CodeUnavailable {
				return "", err
			}
			time.Sleep(200 * time.Millisecond)
		}
		_, err := lock(ctx, users, id, "fraud")
		return id, err
	})
	checks.Run("has no error while the server restarts", func() error { return errors.Join(failures...) })
}
