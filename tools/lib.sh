# What the scripts here share; sourced, not run.
# shellcheck shell=bash
set -euo pipefail
umask 022

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
majors=$(<"$root/tools/majors")

say() { echo "== $*" >&2; }
fail() { echo "${0##*/}: $*" >&2; exit 1; }

# Messages and sorting must be the same everywhere.
export LC_ALL=C.UTF-8
# pgrx would put a backtrace into the DETAIL of errors.
unset RUST_BACKTRACE RUST_LIB_BACKTRACE
export PGRX_HOME=$root/target/pgrx
# Last on the path: what setup unpacked here serves only where the system lacks it.
export PATH=$root/target/tools/bin:$PATH:$root/target/tools/usr/bin

# Libraries that setup unpacked because the system lacks them; never another version of what is installed.
use_unpacked() {
    local tree folder
    # The real path, since the server's user may not get to target/.
    for tree in "$(readlink -m "$root/target/pg/15")" "$root/target/tools"; do
        for folder in "$tree"/{usr/,}lib/*-linux-gnu; do
            [ -d "$folder" ] || continue
            case ":${LD_LIBRARY_PATH:-}:" in
                *":$folder:"*) ;;
                *) export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} ;;
            esac
        done
    done
    for folder in "$root"/target/tools/usr/lib/llvm-*/lib; do
        [ ! -d "$folder" ] || export LIBCLANG_PATH=$folder
    done
}
use_unpacked

# Every server copy has its programs in target/pg/<major>/bin.
pg_bin() {
    local bin
    bin=$(readlink -m "$root/target/pg")/$1/bin
    [ -x "$bin/pg_config" ] || fail "no PostgreSQL $1 in target/pg; run: tools/setup $1"
    echo "$bin"
}

# The wheels' pg_regress and replication look for libpq elsewhere than beside the server.
use_libpq_of() {
    local folder
    folder=$(pg_bin "$1")/../lib
    [ ! -e "$folder/libpq.so.5" ] || export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}

supported() {
    local major
    for major in $majors; do
        [ "$1" != "$major" ] || return 0
    done
    return 1
}

# PostgreSQL refuses to run as root. The user nobody exists everywhere and, unlike postgres,
# has no rights on the clusters of the system.
as_server() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups -- "$@")
    else
        "$@"
    fi
}

# The libraries with hooks of their own that this server has, as a list for preloading.
other_libraries() {
    local folder library list=
    folder=$("$(pg_bin "$1")/pg_config" --pkglibdir)
    for library in pg_stat_statements auto_explain pgaudit; do
        [ ! -f "$folder/$library.so" ] || list+=${list:+,}$library
    done
    echo "$list"
}
