# shellcheck shell=sh
# Functions of the examples, which source this file. Requires curl 7.84 or newer, and jq.
set -eu
: "${HANGUP_URL:=http://127.0.0.1:8080}"

# expect_arguments USAGE ARGUMENT...: exits with 2 unless each name in the usage has an argument.
expect_arguments() {
  usage=$1
  shift
  for argument; do
    [ -n "$argument" ] || set --
  done
  if [ $# -ne $(($(printf '%s\n' "$usage" | wc -w) - 1)) ] || [ -z "${HANGUP_API_KEY:-}" ]; then
    echo "Usage: HANGUP_API_KEY=KEY sh $usage" >&2
    exit 2
  fi
}

# request METHOD PATH [OPTION...]: sends a request with these options of curl. Fails unless hangup did what was requested.
# Sets `status` (000 without a complete response), `body` and `retry_after`. The key does not appear in the list of processes.
request() {
  method=$1 path=$2
  shift 2
  if ! response=$(
    printf 'x-api-key: %s' "$HANGUP_API_KEY" |
      curl -q --silent --show-error --max-time 10 --request "$method" --header @- "$@" \
        --write-out '\n%{http_code} %header{retry-after}' "$HANGUP_URL/api/v1$path"
  ); then
    status=000 body='' retry_after=''
    return 1
  fi
  # The last line has the status.
  body=${response%
*}
  last_line=${response##*
}
  status=${last_line%% *} retry_after=${last_line#* }
  case $status in
    # Without --slurp, jq 1.6 accepts an empty body.
    2*) printf %s "$body" | jq --slurp --exit-status '.[0].data' >/dev/null 2>&1 ;;
    *) return 1 ;;
  esac
}

# Whether the same request can succeed later.
is_retryable() {
  case $status in
    000 | 408 | 429 | 5??) return 0 ;;
    *) return 1 ;;
  esac
}

# Whether the last error is one of hangup, not one of a proxy.
is_from_hangup() {
  printf %s "$body" | jq --slurp --exit-status '.[0].error.message' >/dev/null 2>&1
}

# Prints the error of the last request.
error_message() {
  if [ "$status" = 000 ]; then
    printf 'No response from %s.\n' "$HANGUP_URL"
  elif is_from_hangup; then
    printf %s "$body" | jq --raw-output .error.message
  else
    printf '%s returned a response that is not from hangup (HTTP %s).\n' "$HANGUP_URL" "$status"
  fi
}

# retry_delay DEFAULT: prints the seconds until hangup accepts the request again, or else the default.
retry_delay() {
  case $retry_after in
    # A proxy can send a date.
    '' | *[!0-9]*) echo "$1" ;;
    *) echo "$retry_after" ;;
  esac
}

# fail MESSAGE: prints the message, and exits with 1.
fail() {
  printf '%s\n' "$1" >&2
  exit 1
}

# field FILTER: prints a part of the data in the last response.
field() {
  printf %s "$body" | jq --raw-output ".data$1"
}

# encode TEXT: prints the text for a path or a query.
encode() {
  jq --null-input --raw-output --arg text "$1" '$text | @uri'
}
