#!/bin/bash
# What pip and cargo cannot bring: installed with apt where we are root, else named.
# usage: prerequisites.sh build|test|lint
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

rustc_candidate() { # prints the version of rustc that apt would install, if any
    apt-cache policy rustc 2>/dev/null | sed -n 's/ *Candidate: \([0-9][0-9.]*\).*/\1/p'
}

build() {
    local missing=()
    have cc || missing+=(gcc libc6-dev)
    # The codecs' libraries are built from the sources that their crates hold.
    have c++ || missing+=(g++)
    have cmake || missing+=(cmake)
    have nasm || [ "$(uname -m)" != x86_64 ] || missing+=(nasm) # libjpeg-turbo's SIMD
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
        candidate=$(rustc_candidate)
        if [ -z "$candidate" ] && [ "$(id -u)" = 0 ]; then
            apt-get update -qq # images come with empty lists, which know no package at all
            candidate=$(rustc_candidate)
        fi
        if [ -n "$candidate" ] && at_least "$RUST_AT_LEAST" "$candidate"; then install rustc cargo; fi
    fi
    local found
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
    if ! have cargo || ! at_least "$RUST_AT_LEAST" "${found:-0}"; then
        echo "vna needs Rust $RUST_AT_LEAST or newer, found ${found:-none}: install it with rustup, see https://rustup.rs" >&2
        exit 1
    fi
}

tests() {
    have storescu && have echoscu || install dcmtk
    have openssl || install openssl # makes the certificates of tests
    # A browser, and what makes the page that it opens.
    if have apt-get; then
        have npm || install nodejs npm
        have chromium-headless-shell || have chromium || have google-chrome || install chromium-headless-shell
    fi
    # The peers of tests/interop and of the benchmarks. Where one cannot be had its tests are skipped, but
    # never where CI=true.
    bash "$(dirname "$0")/cornerstone.sh" >/dev/null || [ "${CI:-}" != true ]
    bash "$(dirname "$0")/orthanc.sh" >/dev/null || [ "${CI:-}" != true ]
}

# Parts of their own, both in Debian and in rustup's minimal profile.
lint() {
    local components=() packages=()
    cargo clippy --version >/dev/null 2>&1 || { components+=(clippy) packages+=(rust-clippy); }
    cargo fmt --version >/dev/null 2>&1 || { components+=(rustfmt) packages+=(rustfmt); }
    [ ${#packages[@]} != 0 ] || return 0
    if have rustup; then rustup component add "${components[@]}"; else install "${packages[@]}"; fi
}

case "${1:-}" in
build) build ;;
test) tests ;;
lint) lint ;;
*) echo "usage: prerequisites.sh build|test|lint" >&2; exit 2 ;;
esac
