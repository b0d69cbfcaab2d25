#!/bin/sh
# Cancels all live calls of an agent, and waits until the last room is gone.
. "$(dirname "$0")/hangup.sh"
expect_arguments 'stop-agent.sh AGENT_ID REASON' "$@"

# with AGENT_ID REASON JSON: prints the input of the requests, with more fields.
with() {
  jq --null-input --arg agent "$1" --arg reason "$2" --argjson more "$3" \
    '{filter: {agentId: $agent}, reason: $reason} + $more'
}

request POST /cancellations --json "$(with "$1" "$2" '{"dryRun": true}')" || fail "$(error_message)"
total=$(field .matched.total)
echo "Matching live calls: $total"
[ "$total" -gt 0 ] || exit 0
# If more calls match by now, hangup refuses the request.
request POST /cancellations --json "$(with "$1" "$2" "{\"expectedAtMost\": $total}")" || fail "$(error_message)"
id=$(field .id)
while [ "$(field .state)" != completed ]; do
  echo "Rooms to delete: $(field .counts.rooms.pending)" >&2
  sleep 1
  # hangup completes the cancellation in any case.
  request GET "/cancellations/$id" || fail "Cancellation $id continues. $(error_message)"
done
echo "Cancelled calls: $(field .counts.cancelled)"
discarded=$(field .counts.rooms.discarded)
[ "$discarded" -eq 0 ] || fail "Rooms that may still exist: $discarded"
