#!/bin/bash
# The peer that tests and benchmarks compare with: Orthanc as Debian 13 has it, in a folder of its own.
# usage: orthanc.sh        prints the path of a program to run as PROGRAM CONFIG.json; installs it first
#                          where it is missing
#
# Any user can run it on any machine with apt and dpkg-deb. The packages come from the machine's own Debian
# mirror (or VNA_DEBIAN_MIRROR), checked with Debian's keys, and are unpacked, not installed: nothing of the
# machine changes, no daemon starts, no user is made, nothing is mounted, and nothing has to be undone. The
# program runs with the loader and the libraries of its own release, so that the release of the machine does
# not matter and the answers that the tests compare with are the same everywhere.
# The folder is ~/.cache/vna/orthanc-13, or one below VNA_PEERS; remove it to install anew.
set -eu

RELEASE=trixie # Debian 13
PARENT=${VNA_PEERS:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/vna}
ROOT=$PARENT/orthanc-13
DICOMWEB=usr/share/orthanc/plugins/libOrthancDicomWeb.so
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    echo "no Orthanc: $*" >&2
    exit 1
}

mirror() { # prints the first Debian mirror that apt knows
    if [ -n "${VNA_DEBIAN_MIRROR:-}" ]; then
        echo "$VNA_DEBIAN_MIRROR"
        return
    fi
    # Asked so, apt answers without lists too. The security archive ends in another name.
    apt-get --print-uris update 2>/dev/null | sed -n "s,^'\([^']*/debian\)/dists/.*,\1,p" | head -1
}

download() { # download FOLDER: the packages and all that they need, as if nothing were installed
    local folder=$1 uri apt
    uri=$(mirror)
    [ -n "$uri" ] || fail "apt knows no Debian mirror; name one with VNA_DEBIAN_MIRROR"
    [ -r "$KEYS" ] || fail "Debian's keys are missing; install debian-archive-keyring"
    mkdir -p "$folder/lists/partial" "$folder/archives/partial" "$folder/empty"
    : >"$folder/status"
    echo "deb [signed-by=$KEYS] $uri $RELEASE main" >"$folder/sources.list"
    apt=(apt-get -qq
        -o "Dir::State=$folder" -o "Dir::State::status=$folder/status" -o "Dir::State::lists=$folder/lists"
        -o "Dir::Cache=$folder" -o "Dir::Cache::archives=$folder/archives"
        -o "Dir::Etc::sourcelist=$folder/sources.list" -o "Dir::Etc::sourceparts=$folder/empty"
        -o "Dir::Etc::preferences=$folder/empty/none" -o "Dir::Etc::preferencesparts=$folder/empty"
        -o APT::Sandbox::User= -o APT::Install-Recommends=false -o Acquire::Languages=none
        -o Acquire::Retries=3)
    "${apt[@]}" update >&2 || fail "apt-get update with $uri $RELEASE failed"
    "${apt[@]}" --download-only --assume-yes install orthanc orthanc-dicomweb >&2 || fail "the packages did not come from $uri"
}

install() {
    local new=$ROOT.new package
    rm -rf "$new"
    mkdir -p "$new/root"
    download "$new"
    for package in "$new"/archives/*.deb; do
        dpkg-deb -x "$package" "$new/root"
    done
    find_loader "$new/root"
    # Orthanc folds the accents of names with this locale, which the package would have generated.
    I18NPATH=$new/root/usr/share/i18n "$new/root/$LOADER" --library-path "$new/root/${LOADER%/*}" \
        "$new/root/usr/bin/localedef" -i en_US -f UTF-8 "$new/root/usr/lib/locale/en_US.UTF-8" >&2
    rm -rf "$ROOT"
    mv "$new/root" "$ROOT"
    rm -rf "$new"
}

find_loader() { # find_loader FOLDER: sets LOADER, its path below FOLDER
    LOADER=$(cd "$1" && find usr/lib -name 'ld-linux*.so*' -type f | head -1)
    [ -n "$LOADER" ] || fail "the packages hold no loader"
}

write_program() { # anew each time, so that a change of this script needs no new installation
    local libraries
    find_loader "$ROOT"
    libraries=$ROOT/${LOADER%/*}
    cat >"$ROOT/orthanc.new" <<PROGRAM
#!/bin/sh
# DCMTK's own switch; without it each DIMSE answer waits 40 ms for a delayed acknowledgement.
export TCP_NODELAY=1
export DCMDICTPATH="\${DCMDICTPATH:-$ROOT/usr/share/dcmtk/dicom.dic:$ROOT/usr/share/dcmtk/private.dic}"
export LOCPATH="$ROOT/usr/lib/locale" GCONV_PATH="$libraries/gconv"
exec "$ROOT/$LOADER" --library-path "$libraries" "$ROOT/usr/sbin/Orthanc" "\$@"
PROGRAM
    chmod +x "$ROOT/orthanc.new"
    mv "$ROOT/orthanc.new" "$ROOT/orthanc"
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "it comes from Debian's packages, which need apt"
mkdir -p "$PARENT"
exec 9>"$PARENT/orthanc.lock"
flock 9
# An installation of before the DICOMweb plugin was asked for is made anew.
[ -x "$ROOT/orthanc" ] && [ -e "$ROOT/$DICOMWEB" ] || install
write_program
"$ROOT/orthanc" --version >/dev/null || fail "$ROOT/orthanc does not run; remove $ROOT to install it anew"
echo "$ROOT/orthanc"
