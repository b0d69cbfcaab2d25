import java.util.List;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.CallsApi;
import org.openapitools.client.auth.ApiKeyAuth;
import org.openapitools.client.model.*;

public class Main {
  static void check(boolean holds, Object answer) {
    if (!holds) throw new AssertionError(answer);
  }

  public static void main(String[] args) throws ApiException {
    String id = System.getenv("CALL_ID");
    ApiClient client = new ApiClient().setBasePath(System.getenv("HANGUP_URL") + "/api/v1");
    ((ApiKeyAuth) client.getAuthentication("ApiKey")).setApiKey(System.getenv("HANGUP_API_KEY"));
    CallsApi calls = new CallsApi(client);

    CallDetails created = calls.createCall(
      new CreateCall().id(id).phoneNumber("+15551234567").metadata(Map.of("by", "openapi-generator-java")),
      id
    ).getData();
    check(created.getDirection() == Direction.OUTBOUND && created.getCreatedAt() != null, created);

    List<CallStatus> live = List.of(CallStatus.INITIATED, CallStatus.CONNECTING, CallStatus.ACTIVE);
    CallList list = calls.listCalls(
      null, live, null, "+15551234567", null, null, null, null, null, null, null, null, null
    ).getData();
    check(list.getCalls().stream().anyMatch(call -> id.equals(call.getId())), list);

    CallDetails read = calls.getCall(id).getData();
    check(read.getSummary() == null, read);
    check("phone".equals(read.getLiveRoomStatus().getParticipants().get(0).getIdentity()), read);

    CancelledCall cancelled = calls.cancelCall(id, null, "by openapi-generator-java").getData();
    check("cancelled".equals(String.valueOf(cancelled.getStatus())), cancelled);
    try {
      calls.cancelCall(id, null, null);
      throw new AssertionError("a second cancel is refused");
    } catch (ApiException error) {
      check(error.getCode() == 400, error);
      check(error.getResponseBody().contains("Cannot cancel call with status: cancelled"), error);
    }
  }
}
