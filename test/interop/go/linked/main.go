// Command linked checks that a program with another copy of the published API starts. Its vendor's code registers the
// same names, and Go ends a program that registers a name twice.
package main

import (
	"context"
	"crypto/rand"
	"errors"

	"example.com/app/checks"
	pb "example.com/app/gen/userlock/v3alpha"
	published "example.com/app/gen/zitadel/resources/user/v3alpha"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func main() {
	checks.Run("starts, and calls both services", both)
}

func both() error {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+checks.Need("TOKEN"))
	conn, err := grpc.NewClient(checks.Need("ADDRESS"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	id, users := rand.Text(), pb.NewUserServiceClient(conn)
	if _, err := users.CreateUser(ctx, &pb.CreateUserRequest{User: &pb.CreateUser{UserId: &id}}); err != nil {
		return err
	}
	locked, err := published.NewZITADELUsersClient(conn).LockUser(ctx, &published.LockUserRequest{Id: id})
	if err != nil {
		return err
	}
	got, err := users.GetUser(ctx, &pb.GetUserRequest{Id: id})
	if err != nil {
		return err
	}
	return errors.Join(
		checks.Equal("the id", locked.GetDetails().GetId(), id),
		checks.Equal("the state", got.GetUser().GetState(), pb.State_USER_STATE_LOCKED),
	)
}
