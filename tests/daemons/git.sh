#!/bin/sh
# SPDX-License-Identifier: MIT
#
# git: its daemon, who serves clones, fetches and pushes; commits, gc and fsck,
# whose processes live shortly and are looked at as they end. What was
# committed has the names that git gives it on glibc's malloc. There is no unit.
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/witness.sh"
needs git
/usr/lib/git-core/git-daemon -h >/dev/null 2>&1 || [ $? -ne 127 ] \
    || skip "git has no daemon"
environment="HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1"
end_status=143
clones=0

# A repository with a history, packed, checked: always the same.
write_history() {
    cat >"$work/history.sh" <<'END'
set -eu
export GIT_AUTHOR_NAME=merlon GIT_AUTHOR_EMAIL=merlon@example.test
export GIT_COMMITTER_NAME=merlon GIT_COMMITTER_EMAIL=merlon@example.test
git init -q -b main "$1"
cd "$1"
for commit in 1 2 3 4 5 6; do
    for file in 1 2 3 4 5 6 7 8 9; do
        seq "$commit" "$file" 3000 >"file $file"
    done
    export GIT_AUTHOR_DATE="2026-01-0$commit 12:00:00 +0000"
    export GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
    git add .
    git commit -q -m "commit $commit"
done
git checkout -q -b side HEAD~3
echo side >side
git add side
git commit -q -m side
git merge -q -m merged main
git config gc.autoDetach false
git gc -q --aggressive --prune=now
git fsck --full --strict
git log --all --stat --format='%H %T %s' >../"$1.log"
END
}

prepare() {
    free_port
    write_history
    client env -C "$work" HOME=/nonexistent sh history.sh plain
}

start() {
    control env -C "$work" sh history.sh served
    same "$work/served.log" "$work/plain.log"
    touch "$work/served/.git/git-daemon-export-ok"
    launch git daemon --listen=127.0.0.1 --port="$port" --reuseaddr \
        --base-path="$work" --enable=receive-pack
    await "a list of branches" \
        git ls-remote "git://127.0.0.1:$port/served/.git"
}

# A clone that a client without merlon finds whole.
clone() {
    clones=$((clones + 1))
    client git clone -q "git://127.0.0.1:$port/served/.git" "$work/$clones"
    client git -C "$work/$clones" log --all --remotes --stat \
        --format='%H %T %s'
    grep '^[0-9a-f]\{40\} ' "$logs/client" | sort >"$work/log"
    grep '^[0-9a-f]\{40\} ' "$work/plain.log" | sort >"$work/wanted"
    same "$work/log" "$work/wanted"
    client git -C "$work/$clones" fsck --full --strict
    rm -rf "${work:?}/$clones"
    done_requests 1
}

exercise() {
    clone
    client git clone -q "git://127.0.0.1:$port/served/.git" "$work/pushing"
    client git -C "$work/pushing" push -q origin \
        "origin/main:refs/heads/pushed.$requests"
    rm -rf "$work/pushing"
    client git ls-remote "git://127.0.0.1:$port/served/.git" \
        "pushed.$requests"
    [ -s "$logs/client" ] || fail "what was pushed is not there"

    [ ! -d "$work/witnessed" ] || return 0
    witness 20 env -C "$work" sh history.sh witnessed
    same "$work/witnessed.log" "$work/plain.log"
}

load() {
    for _ in $(seq "$(scaled 4)"); do
        clone
    done
}

live "$@"
