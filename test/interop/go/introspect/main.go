// Command introspect checks that a stock OAuth library can introspect sessions.
package main

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"example.com/app/checks"
	pb "example.com/app/gen/userlock/v3alpha"
	api "example.com/app/gen/userlock/v3alpha/userlockv3alphaconnect"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// introspect asks whether the token of a session is good. The secret is a userlock token, and the id is its subject.
func introspect(ctx context.Context, url, id, secret, token string) (*oidc.IntrospectionResponse, error) {
	server, err := rs.NewResourceServerClientCredentials(ctx, url, id, secret,
		rs.WithStaticEndpoints(url+"/oauth/v2/token", url+"/oauth/v2/introspect"))
	if err != nil {
		return nil, err
	}
	return rs.Introspect[*oidc.IntrospectionResponse](ctx, server, token)
}

func main() {
	ctx, url := context.Background(), checks.Need("URL")
	// isActive introspects the session for a client with this id.
	isActive := func(clientID string) (bool, error) {
		answer, err := introspect(ctx, url, clientID, checks.Need("CLIENT_SECRET"), checks.Need("SESSION_TOKEN"))
		if err != nil || !answer.Active {
			return false, err
		}
		return true, checks.Equal("the subject", answer.Subject, checks.Need("USER"))
	}
	ids := map[string]string{"subject": checks.Need("CLIENT_SUBJECT"), "id": checks.Need("CLIENT_ID")}
	for _, isLocked := range []bool{false, true} {
		if isLocked {
			request := connect.NewRequest(&pb.LockUserRequest{Id: checks.Need("USER")})
			request.Header().Set("Authorization", "Bearer "+checks.Need("TOKEN"))
			if _, err := api.NewUserServiceClient(http.DefaultClient, url).LockUser(ctx, request); err != nil {
				panic(err)
			}
		}
		for what, id := range ids {
			state := map[bool]string{false: "an open session", true: "the session of a locked user"}[isLocked]
			checks.Run("introspects "+state+" with the token's "+what+" as client id", func() error {
				found, err := isActive(id)
				return errors.Join(err, checks.Equal("active", found, !isLocked))
			})
		}
	}
}
