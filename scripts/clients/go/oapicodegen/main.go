package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	hangup "client/generated/oapicodegen"
)

func check(holds bool, expectation string, answer []byte) {
	if !holds {
		fmt.Fprintf(os.Stderr, "%s: %s\n", expectation, answer)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	ctx, id, phone := context.Background(), os.Getenv("CALL_ID"), "+15551234567"
	withKey := hangup.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
		request.Header.Set("x-api-key", os.Getenv("HANGUP_API_KEY"))
		return nil
	})
	client := must(hangup.NewClientWithResponses(os.Getenv("HANGUP_URL")+"/api/v1", withKey))

	metadata := map[string]any{"by": "oapi-codegen"}
	params := &hangup.CreateCallParams{IdempotencyKey: &id}
	created := must(client.CreateCallWithResponse(ctx, params, hangup.CreateCall{Id: &id, PhoneNumber: &phone, Metadata: &metadata}))
	check(created.JSON201 != nil && created.JSON201.Data.Direction == "outbound", "created", created.Body)
	check(!created.JSON201.Data.CreatedAt.IsZero(), "a time", created.Body)

	status := []hangup.CallStatus{"initiated", "connecting", "active"}
	list := must(client.ListCallsWithResponse(ctx, &hangup.ListCallsParams{Status: &status, PhoneNumber: &phone}))
	found := false
	if list.JSON200 != nil {
		for _, call := range list.JSON200.Data.Calls {
			found = found || call.Id == id
		}
	}
	check(found, "listed", list.Body)

	read := must(client.GetCallWithResponse(ctx, id))
	check(read.JSON200 != nil && read.JSON200.Data.Summary == nil, "read", read.Body)
	room := read.JSON200.Data.LiveRoomStatus
	check(room != nil && room.Participants[0].Identity == "phone", "the room", read.Body)

	reason := "by oapi-codegen"
	cancelled := must(client.CancelCallWithResponse(ctx, id, &hangup.CancelCallParams{Reason: &reason}))
	check(cancelled.JSON200 != nil && cancelled.JSON200.Data.Status == "cancelled", "cancelled", cancelled.Body)
	again := must(client.CancelCallWithResponse(ctx, id, nil))
	check(again.JSON400 != nil && again.JSON400.Error.Message == "Cannot cancel call with status: cancelled", "again", again.Body)
}
