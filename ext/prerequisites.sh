#!/bin/bash
# What pip and cargo cannot bring: installed with apt where we are root, else named.
# usage: prerequisites.sh build|test
set -eu

RUST_AT_LEAST=1.85 # rust-version of Cargo.toml

have() { command -v "$1" >/dev/null 2>&1; }
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; } # at_least WANTED FOUND

install() { # install PACKAGE... : or say what is missing
    if have apt-get && [ "$(id -u)" = 0 ]; then
        echo "installing $*"
        export DEBIAN_FRONTEND=noninteractive
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
    elif have apt-get; then
        echo "missing: $*; install with: sudo apt-get install $*" >&2
        exit 1
    else
        echo "missing (Debian's names): $*; install them with the system's package manager" >&2
        exit 1
    fi
}

build() {
    local missing=()
    have cc || missing+=(gcc libc6-dev)
    local python=python3
    if ! have python3; then
        missing+=(python3 python3-venv python3-dev)
    else
        # An interpreter of its own (pyenv, a container image) brings venv and headers along.
        "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
        "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
            missing+=(python3-dev)
    fi
    [ ${#missing[@]} = 0 ] || install "${missing[@]}"

    if ! have cargo && have apt-cache; then
        # Debian 13 has a compiler that is new enough, Debian 12 has not.
        local candidate
        candidate=$(apt-cache policy rustc 2>/dev/null | sed -n 's/ *Candidate: \([0-9.]*\).*/\1/p')
        if [ -n "$candidate" ] && at_least "$RUST_AT_LEAST" "$candidate"; then install rustc cargo; fi
    fi
    local found
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
    if ! have cargo || ! at_least "$RUST_AT_LEAST" "${found:-0}"; then
        echo "vna needs Rust $RUST_AT_LEAST or newer, found ${found:-none}: install it with rustup, see https://rustup.rs" >&2
        exit 1
    fi
    # rustfmt and clippy are parts of their own in Debian; only lint needs them.
    if ! cargo clippy --version >/dev/null 2>&1 && have apt-get && ! have rustup && [ "$(id -u)" = 0 ]; then
        install rust-clippy rustfmt
    fi
}

tests() {
    have storescu && have echoscu || install dcmtk
}

case "${1:-}" in
build) build ;;
test) tests ;;
*) echo "usage: prerequisites.sh build|test" >&2; exit 2 ;;
esac
