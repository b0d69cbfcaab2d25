#!/bin/sh
# Reads a call, and cancels the call only if it is live.
. "$(dirname "$0")/hangup.sh"
expect_arguments 'check-first.sh CALL_ID' "$@"

request GET "/calls/$(encode "$1")" || fail "$(error_message)"
if [ "$(field .endedAt)" != null ]; then
  echo "Call $1 has already ended: $(field .status)."
  exit
fi
echo "Call $1 is live: $(field .status)."
# The call can end between the requests. This request then fails, and changes nothing.
request DELETE "/calls/$(encode "$1")?reason=caller+request" || fail "$(error_message)"
echo "Call $1 is cancelled."
