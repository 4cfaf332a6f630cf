#!/bin/sh
# Ends what a program started and removes its directory as soon as the program is gone, however it ended.
#
#   guard.sh DIRECTORY [COMMAND ARGUMENT...]
#
# The program holds the other end of standard input and never writes to it: end of file means that it
# is gone. Every process group to end is a file DIRECTORY/groups/ORDER-SIGNAL-ID, written by
# guarded_directory.ts. COMMAND runs when they have ended, before the directory is removed.

trap '' HUP INT QUIT TERM
directory=$1
shift

while read -r _; do :; done

# The last one started is the first to end, so that tests do not see their server vanish.
for file in $(ls -r "$directory/groups"); do
  group=${file##*-}
  signal=${file#*-}
  kill -s "${signal%-*}" -- "-$group" 2>/dev/null
  left=20
  while kill -s 0 -- "-$group" 2>/dev/null && [ "$left" -gt 0 ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || kill -s KILL -- "-$group" 2>/dev/null
    sleep 0.1
  done
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
