#!/bin/sh
# Cancels a scheduled call before its start.
. "$(dirname "$0")/hangup.sh"
expect_arguments 'cancel-scheduled.sh CALL_ID' "$@"

request GET "/calls/$(encode "$1")" || fail "$(error_message)"
scheduled_at=$(field .scheduledAt)
if [ "$(field .status)" != initiated ] || [ "$scheduled_at" = null ]; then
  fail "Call $1 does not wait for its start: $(field .status)."
fi
request DELETE "/calls/$(encode "$1")?reason=appointment+moved" || fail "$(error_message)"
echo "Call $1, scheduled for $scheduled_at, is cancelled."
