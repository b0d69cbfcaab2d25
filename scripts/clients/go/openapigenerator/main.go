package main

import (
	"context"
	"fmt"
	"os"

	hangup "client/generated/openapigenerator"
)

func check(holds bool, expectation string, value any) {
	if !holds {
		fmt.Fprintf(os.Stderr, "%s: %+v\n", expectation, value)
		os.Exit(1)
	}
}

func main() {
	id, phone := os.Getenv("CALL_ID"), "+15551234567"
	keys := map[string]hangup.APIKey{"ApiKey": {Key: os.Getenv("HANGUP_API_KEY")}}
	ctx := context.WithValue(context.Background(), hangup.ContextAPIKeys, keys)
	configuration := hangup.NewConfiguration()
	configuration.Servers = hangup.ServerConfigurations{{URL: os.Getenv("HANGUP_URL") + "/api/v1"}}
	calls := hangup.NewAPIClient(configuration).CallsAPI

	body := hangup.CreateCall{Id: &id, PhoneNumber: &phone, Metadata: map[string]any{"by": "openapi-generator-go"}}
	created, _, err := calls.CreateCall(ctx).CreateCall(body).Execute()
	check(err == nil, "created", err)
	check(created.Data.Direction == hangup.OUTBOUND && !created.Data.CreatedAt.IsZero(), "created", created)

	status := []hangup.CallStatus{hangup.INITIATED, hangup.CONNECTING, hangup.ACTIVE}
	list, _, err := calls.ListCalls(ctx).Status(status).PhoneNumber(phone).Execute()
	check(err == nil, "listed", err)
	found := false
	for _, call := range list.Data.Calls {
		found = found || call.Id == id
	}
	check(found, "listed", list)

	read, _, err := calls.GetCall(ctx, id).Execute()
	check(err == nil, "read", err)
	check(read.Data.Summary.Get() == nil, "read", read)
	check(read.Data.LiveRoomStatus.Get().Participants[0].Identity == "phone", "the room", read)

	cancelled, _, err := calls.CancelCall(ctx, id).Reason("by openapi-generator-go").Execute()
	check(err == nil && cancelled.Data.Status == "cancelled", "cancelled", err)
	_, _, err = calls.CancelCall(ctx, id).Execute()
	refusal, isRefusal := err.(*hangup.GenericOpenAPIError)
	check(isRefusal, "again", err)
	answer, isAnswer := refusal.Model().(hangup.ErrorResponse)
	check(isAnswer && answer.Error.Message == "Cannot cancel call with status: cancelled", "again", refusal.Model())
}
