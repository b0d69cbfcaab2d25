#!/bin/sh
# Cancels a call, and repeats a failed request three times, but only if that is safe.
. "$(dirname "$0")/hangup.sh"
expect_arguments 'retry.sh CALL_ID' "$@"

id=$(encode "$1")
for delay in 1 2 4 none; do
  # With the same key, a second run of this command repeats the cancel of the first run, and gets its result.
  if request DELETE "/calls/$id?reason=caller+request" --header "idempotency-key: \"cancel-$id\""; then
    echo "Call $1 is cancelled."
    exit
  fi
  if ! is_retryable || [ "$delay" = none ]; then
    fail "$(error_message)"
  fi
  echo "An attempt failed. $(error_message)" >&2
  sleep "$(retry_delay "$delay")"
done
