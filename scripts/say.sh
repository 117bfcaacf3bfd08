# Words for whoever waits. All to stderr: stdout belongs to the command that was asked for.

say() { printf '%s\n' "$*" >&2; }

# A line of the set-up's plan: what, and then the rest.
say_item() { printf '  %-10s %s\n' "$1" "${*:2}" >&2; }

# Says why the set-up stops, then each further argument as a line of advice.
die() {
  say "✘ $1"
  local line
  for line in "${@:2}"; do say "    $line"; done
  exit 1
}

# Runs a step, "step NAME COMMAND…", quietly: what it said is shown when it fails, and kept in .cache/NAME.log.
step() {
  local name=$1 started=$EPOCHREALTIME log=".cache/$1.log"
  shift
  mkdir -p .cache
  if "$@" >"$log" 2>&1 9>&-; then
    local ms=$(((${EPOCHREALTIME/[.,]/} - ${started/[.,]/}) / 1000))
    printf '✔ %-10s %6d.%d s\n' "$name" $((ms / 1000)) $((ms % 1000 / 100)) >&2
    return 0
  fi
  tail -n 25 "$log" | sed 's/^/    /' >&2
  return 1
}
