# The set-up: finds out what is missing, says it, does it. What is there already is left alone.

setup() {
  local missing
  missing=$(missing_packages)$(missing_npm)
  if [[ -n $missing ]] && ((EUID != 0)); then
    die "System packages are missing: $missing" 'As root:  sudo ./run setup' 'Without root, ./run ok is the gate that needs none of them.'
  fi
  in_turn prepare "$missing"
  bundle
}

# What `ok` needs: Node and the npm packages.
setup_without_root() {
  local missing
  if node_is_ready && dependencies_are_ready; then return 0; fi
  missing=$(missing_npm)
  if [[ -n $missing ]] && ((EUID != 0)); then
    die 'npm is missing, and it takes root to install it.' 'sudo apt-get install --no-install-recommends npm'
  fi
  in_turn prepare "$missing"
}

# npm is wanted only until its work is done.
missing_npm() {
  if ! has_npm && ! { node_is_ready && dependencies_are_ready; }; then printf 'npm\n'; fi
}

# Two at once in one checkout wait for each other.
in_turn() {
  mkdir -p .tools .cache
  [[ -w .tools && -w .cache ]] || die 'This checkout was set up by another user.' "sudo chown -R $(id -un) ${PWD@Q}"
  (
    flock 9
    "$@"
  ) 9>.cache/setup.lock
}

has_npm() { command -v npm >/dev/null; }

# Says what will be done, then does it.
prepare() {
  local plan=''
  local -a packages
  read -ra packages <<<"$1"
  ((EUID != 0)) || give_back_all
  if ((${#packages[@]} > 0)); then
    has_program apt-get || die "These are missing, and this is not a Debian machine: ${packages[*]}"
    refresh_lists "${packages[@]}"
    plan=$(plan_packages "${packages[@]}") || exit 1
  fi
  announce "$plan" "${packages[@]}"
  ((${#packages[@]} == 0)) || install_packages "${packages[@]}"
  node_is_ready || prepare_node
  dependencies_are_ready || install_dependencies
}

announce() {
  local plan=$1
  shift
  if (($# == 0)) && node_is_ready && dependencies_are_ready; then return 0; fi
  say "Set-up of Bulkhead on $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), $(uname -m). It will install:"
  (($# == 0)) || say_plan "$plan" "$@"
  [[ " $* " != *' npm '* ]] || say_item '' 'npm itself is some 400 packages of Debian; it fetches what follows'
  if ! node_is_ready; then
    local found
    if found=$(system_node); then say_item node "the system's own, $found"; else
      say_item node "$(pinned_node) from the npm registry, into .tools/ here; the system's Node stays as it is"
    fi
  fi
  dependencies_are_ready || say_item npm "the packages of package-lock.json, into node_modules/ here, install scripts off"
}

bundle() { .tools/node scripts/build.ts >&2; }
