# Runs the steps of .ci/run and counts their tests. Sourced, not run.

passed=0 failed=0
log=$(mktemp) failures=$(mktemp)
trap 'rm -f "$log" "$failures"' EXIT

# plain: removes colours.
plain() {
  sed 's/\x1b\[[0-9;]*m//g' "$@"
}

# failure NAME STATUS: keeps the failed tests that vitest lists at its end, or the last lines of the step, for the summary.
failure() {
  {
    echo "=== failed: $1, exit $2"
    if plain "$log" | grep -q '^ FAIL '; then
      plain "$log" | sed -n '/^⎯* Failed /,/^ Test Files /p' | head -n 150
    else
      plain "$log" | tail -n 50
    fi
  } >>"$failures"
}

# step NAME COMMAND...: runs the command. Counts the tests that vitest reports, or the step as one test.
step() {
  local name=$1 started=$SECONDS status counted counted_passed counted_failed
  shift
  echo "=== $name"
  "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  counted=$(plain "$log" | grep -E '^ *Tests  ' | tail -n 1)
  counted_passed=$(grep -oE '[0-9]+ passed' <<<"$counted" | grep -oE '[0-9]+' || echo 0)
  counted_failed=$(grep -oE '[0-9]+ failed' <<<"$counted" | grep -oE '[0-9]+' || echo 0)
  if [ "$status" -eq 0 ] && [ "$counted_passed" -eq 0 ]; then counted_passed=1; fi
  if [ "$status" -ne 0 ] && [ "$counted_failed" -eq 0 ]; then counted_failed=1; fi
  [ "$status" -eq 0 ] || failure "$name" "$status"
  passed=$((passed + counted_passed)) failed=$((failed + counted_failed))
  echo "=== $name: exit $status after $((SECONDS - started)) s, $SECONDS s in all"
}

# optional COMMAND...: runs a suite that may lack its programs. Its one line says so, and nothing counts as passed.
optional() {
  "$@" || failed=$((failed + 1))
}

# summary: prints the failures again and the result of all steps; fails if one failed.
summary() {
  cat "$failures"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}
