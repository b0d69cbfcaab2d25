# Runs the steps of .ci/run and counts their tests. Sourced, not run.

passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME COMMAND...: runs the command. Counts the tests that vitest reports, or the step as one test.
step() {
  local name=$1 started=$SECONDS status counted counted_passed counted_failed
  shift
  echo "=== $name"
  "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  counted=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '^ *Tests  ' | tail -n 1)
  counted_passed=$(grep -oE '[0-9]+ passed' <<<"$counted" | grep -oE '[0-9]+' || echo 0)
  counted_failed=$(grep -oE '[0-9]+ failed' <<<"$counted" | grep -oE '[0-9]+' || echo 0)
  if [ "$status" -eq 0 ] && [ "$counted_passed" -eq 0 ]; then counted_passed=1; fi
  if [ "$status" -ne 0 ] && [ "$counted_failed" -eq 0 ]; then counted_failed=1; fi
  passed=$((passed + counted_passed)) failed=$((failed + counted_failed))
  echo "=== $name: exit $status after $((SECONDS - started)) s, $SECONDS s in all"
}

# optional COMMAND...: runs a suite that may lack its programs. Its one line says so, and nothing counts as passed.
optional() {
  "$@" || failed=$((failed + 1))
}

# summary: prints the result of all steps; fails if one failed.
summary() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}
