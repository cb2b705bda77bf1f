#!/usr/bin/env bash
# Makes sure that a program is there: installs Debian's package of it if it is not, or says what is missing.
set -euo pipefail

for program in "$@"; do
    command -v "$program" >/dev/null && continue
    package=$program
    if [ "$program" = postgres ]; then
        # Debian keeps the server's programs out of the path, one folder to a version.
        compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && continue
        package=postgresql
    fi
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
        echo "installing $package" >&2
        "${as_root[@]}" apt-get update -qq
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove "$package" >&2
    else
        printf 'error: `%s` is missing\nhint: install it, then run this again\n' "$program" >&2
        exit 1
    fi
done
