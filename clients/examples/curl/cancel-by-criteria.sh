#!/bin/sh
# Cancels all outbound calls to a phone number that nobody has answered, scheduled calls included.
. "$(dirname "$0")/hangup.sh"
expect_arguments 'cancel-by-criteria.sh PHONE_NUMBER REASON' "$@"

input=$(jq --null-input --arg number "$1" --arg reason "$2" '{
  filter: {phoneNumber: $number, direction: "outbound", status: ["initiated", "connecting", "ringing"]},
  reason: $reason
}')
request POST /cancellations --json "$input" || fail "$(error_message)"
id=$(field .id)
while [ "$(field .state)" != completed ]; do
  sleep 1
  request GET "/cancellations/$id" || fail "Cancellation $id continues. $(error_message)"
done
echo "Cancelled calls: $(field .counts.cancelled)"
request GET "/calls?limit=100&cancellationId=$id" || fail "$(error_message)"
field '.calls[].id'
