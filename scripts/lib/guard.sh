#!/bin/sh
# Ends what a program started and removes its directory as soon as the program is gone, however it ended.
#
#   guard.sh DIRECTORY [COMMAND ARGUMENT...]
#
# The program holds the other end of standard input and never writes to it: end of file means that it
# is gone, also after SIGKILL, where it could not have done anything itself. Every process group to end
# is a file DIRECTORY/groups/ORDER-SIGNAL-ID, written by guarded_directory.ts. COMMAND runs in between,
# when nothing works on the directory any more.

trap '' HUP INT QUIT TERM
directory=$1
shift

while read -r _; do :; done

wait_until_gone() { # ID TENTHS
  left=$2
  while kill -s 0 -- "-$1" 2>/dev/null; do
    [ "$left" -gt 0 ] || return 1
    left=$((left - 1))
    sleep 0.1
  done
}

# The last one started is the first to end, so that tests do not see their server vanish.
newest_first=
for file in "$directory"/groups/*; do
  [ -e "$file" ] && newest_first="${file##*/} $newest_first"
done
for name in $newest_first; do
  group=${name##*-}
  signal=${name#*-}
  signal=${signal%-*}
  kill -s "$signal" -- "-$group" 2>/dev/null
  wait_until_gone "$group" 20 || {
    kill -s KILL -- "-$group" 2>/dev/null
    wait_until_gone "$group" 10
  }
done

# Directories of the same kind inside of this one belong to processes that were just ended; their own
# guards are stopping servers in them.
left=150
while [ "$left" -gt 0 ] && ls -d "$directory"/tmp/guarded-* >/dev/null 2>&1; do
  left=$((left - 1))
  sleep 0.1
done

[ $# -eq 0 ] || "$@"

rm -rf "$directory" 2>/dev/null || { sleep 0.5 && rm -rf "$directory"; }
