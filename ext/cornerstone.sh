#!/bin/bash
# The page of tests/interop/cornerstone: Cornerstone and its image loader, as viewers have them, in one bundle.
# usage: cornerstone.sh        prints the folder of the page; makes it first where it is missing
#
# The packages come from npm, the versions are those of package.json. None of their install scripts run.
# The folder is below ~/.cache/vna, or below VNA_PEERS; it is named after what it is made of.
set -eu

fail() {
    echo "no Cornerstone: $*" >&2
    exit 1
}

command -v npm >/dev/null || fail "it comes from npm; install nodejs and npm"
SOURCES=$(cd "$(dirname "$0")/../tests/interop/cornerstone" && pwd)
PARENT=${VNA_PEERS:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/vna}
NAME=cornerstone-$(cat "$0" "$SOURCES"/* | sha256sum | cut -c1-12)
LOADER=node_modules/@cornerstonejs/dicom-image-loader/dist/esm

make_page() { # make_page FOLDER
    cp "$SOURCES"/* "$1"
    cd "$1"
    npm install --silent --ignore-scripts --no-audit --no-fund >&2 || fail "npm could not install its packages"
    # What the packages do only in Node they name nevertheless: none.js stands for it.
    node_modules/.bin/esbuild page.js decodeImageFrameWorker="$LOADER/decodeImageFrameWorker.js" \
        --bundle --format=esm --minify --log-level=warning --outdir=page \
        --alias:{events,fs,path,url}=./none.js >&2 || fail "esbuild failed"
    cp index.html page
    # The decoders ask for their WebAssembly at these addresses beside the page.
    local name file
    for name in charls openjpeg libjxl libjpeg-turbo-8bit openjph; do
        mkdir -p "page/@cornerstonejs/codec-$name"
        file=$(node -p "const e = require('./node_modules/@cornerstonejs/codec-$name/package.json').exports; e['./decodewasm'] || e['./wasm']")
        cp "node_modules/@cornerstonejs/codec-$name/$file" "page/@cornerstonejs/codec-$name/decodewasm"
        cp "node_modules/@cornerstonejs/codec-$name/$file" "page/@cornerstonejs/codec-$name/wasm"
    done
}

mkdir -p "$PARENT"
exec 9>"$PARENT/cornerstone.lock"
flock 9
if [ ! -d "$PARENT/$NAME" ]; then
    rm -rf "$PARENT"/cornerstone-*
    mkdir "$PARENT/cornerstone-new"
    (make_page "$PARENT/cornerstone-new")
    mv "$PARENT/cornerstone-new/page" "$PARENT/$NAME"
    rm -rf "$PARENT/cornerstone-new"
fi
echo "$PARENT/$NAME"
