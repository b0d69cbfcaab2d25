#!/bin/sh
# Cancels a call, and handles each error separately. Exit code 75: the call may be live, run the command again.
. "$(dirname "$0")/hangup.sh"
expect_arguments 'handle-errors.sh CALL_ID' "$@"

if request DELETE "/calls/$(encode "$1")?reason=caller+request"; then
  echo "Call $1 is cancelled."
elif is_retryable; then
  echo "Call $1 may be live. $(error_message)" >&2
  exit 75
elif ! is_from_hangup; then
  fail "$(error_message)"
elif [ "$status" = 400 ]; then
  echo "Call $1 has already ended. $(error_message)"
elif [ "$status" = 404 ]; then
  fail "No call has the id $1."
elif [ "$status" = 401 ] || [ "$status" = 403 ]; then
  fail "hangup refuses the key in HANGUP_API_KEY: $(error_message)"
else
  fail "$(error_message)"
fi
