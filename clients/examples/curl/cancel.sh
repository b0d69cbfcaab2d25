#!/bin/sh
# Cancels a call. After exit code 0, the cancel is on disk, and hangup deletes the room.
. "$(dirname "$0")/hangup.sh"
expect_arguments 'cancel.sh CALL_ID REASON' "$@"

request DELETE "/calls/$(encode "$1")" --get --data-urlencode "reason=$2" || fail "$(error_message)"
echo "Call $1 is cancelled."
