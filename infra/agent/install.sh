#!/bin/sh
# Installs the agent on Debian, Ubuntu or another Linux with systemd and Python 3.11 or later. Run it again to upgrade.
#
#   sudo infra/agent/install.sh [--wheels DIR] [--kerberos] [--root DIR]
#   sudo infra/agent/install.sh --remove [--purge] [--root DIR]
#
# --wheels DIR  takes the packages from DIR alone, so that this machine needs no internet; make DIR on another one:
#               pip download --require-hashes -r requirements/agent.txt -r requirements/build.txt -d DIR
# --kerberos    adds gssapi, which is built here (Debian: libkrb5-dev gcc python3-dev)
# --root DIR    installs below DIR and leaves users and systemd alone: for an image, or to look at it first
# --remove      takes service and program away; settings, key and state stay unless --purge is said as well
#
# It writes /opt/smime-sync (the program), /etc/smime-sync (settings), /var/lib/smime-sync (the state), the unit, and
# /usr/local/bin/smime-sync. A new program is made beside the old one and takes its place when it is whole; the one before
# is kept.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
source=$(CDPATH='' cd -- "$here/../.." && pwd)
root='' wheels='' kerberos='' remove='' purge=''
while [ $# -gt 0 ]; do
    case $1 in
        --root) root=${2:?--root needs a folder}; shift ;;
        --wheels) wheels=${2:?--wheels needs a folder}; shift ;;
        --kerberos) kerberos=yes ;;
        --remove) remove=yes ;;
        --purge) purge=yes ;;
        *) echo "unknown option $1; see the head of $0" >&2; exit 2 ;;
    esac
    shift
done

program=$root/opt/smime-sync
settings=$root/etc/smime-sync
unit=$root/etc/systemd/system/smime-sync-agent.service
command=$root/usr/local/bin/smime-sync
python=${PYTHON:-python3}

systemd() { [ -n "$root" ] || ! [ -d /run/systemd/system ] || systemctl "$@"; }

if [ -n "$remove" ]; then
    if [ -f "$unit" ]; then systemd disable --now smime-sync-agent; fi
    rm -rf "$unit" "$command" "$program"
    systemd daemon-reload
    if [ -n "$purge" ]; then
        rm -rf "$settings" "$root/var/lib/smime-sync"
        echo 'Removed, with settings, key and state.'
    else
        echo "Removed. Settings and key are still in $settings, the state in $root/var/lib/smime-sync."
    fi
    exit 0
fi

"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || {
    echo 'The agent needs Python 3.11 or later with its venv module (Debian: apt-get install python3-venv).' >&2
    exit 2
}

# 1. The program, whole before it takes the old one's place. Everything is fetched by its hash.
release=$program/$(date +%Y%m%dT%H%M%S)
build=$(mktemp -d)
mkdir -p "$program"
trap 'rm -rf "$release" "$build"' EXIT
"$python" -m venv "$release"
pip() { "$release/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
if [ -n "$wheels" ]; then set -- --no-index --find-links "$wheels"; else set --; fi
pip install "$@" --require-hashes -r "$source/requirements/build.txt" -r "$source/requirements/agent.txt"
cp -R "$source/sync" "$source/pyproject.toml" "$source/README.md" "$source/LICENSE" "$build"
pip install --no-deps --no-build-isolation "$build"
if [ -n "$kerberos" ]; then pip install "$@" gssapi; fi
"$release/bin/python" -m sync agent --help >/dev/null
rm -rf "$build"
trap - EXIT
ln -sfn "$(basename "$release")" "$program/current"

# 2. The account, and the settings: an example, which is never written over.
if [ -z "$root" ] && ! id smime-sync >/dev/null 2>&1; then
    useradd --system --home-dir /var/lib/smime-sync --shell /usr/sbin/nologin smime-sync
fi
# The state's folder too: systemd makes it when the service starts, and `agent check` comes before that.
mkdir -p "$settings" "$root/var/lib/smime-sync" "$(dirname "$command")" "$(dirname "$unit")"
if ! [ -f "$settings/agent.env" ]; then cp "$here/agent.env" "$settings/agent.env"; fi
if [ -z "$root" ]; then
    chown -R root:smime-sync "$settings"
    chmod -R u=rwX,g=rX,o= "$settings"
    chown smime-sync:smime-sync /var/lib/smime-sync
    chmod 700 /var/lib/smime-sync
fi

# 3. The command, as the service's account and with its settings; and the unit.
cat >"$command" <<'WRAPPER'
#!/bin/sh
exec runuser -u smime-sync -- /opt/smime-sync/current/bin/python -m sync --settings /etc/smime-sync/agent.env "$@"
WRAPPER
chmod 755 "$command"
install -m 644 "$here/smime-sync-agent.service" "$unit"
systemd daemon-reload
if [ -z "$root" ]; then systemd try-restart smime-sync-agent; fi

# 4. Releases of before: one is kept, to go back to (ln -sfn RELEASE /opt/smime-sync/current, and restart).
find "$program" -mindepth 1 -maxdepth 1 -type d -name '2*T*' | sort | head -n -2 | while read -r old; do rm -rf "$old"; done

echo "Installed in $program/current. Next: fill in $settings/agent.env, then 'smime-sync agent check', then"
echo "'systemctl enable --now smime-sync-agent'."
