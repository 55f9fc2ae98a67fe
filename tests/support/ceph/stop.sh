#!/bin/bash
# Kills the processes that start.sh recorded, and only those. They keep nothing on disk, so killing them loses nothing.
# usage: stop.sh ROOT
while read -r pid; do kill -9 "$pid" 2>/dev/null; done < "$1/pids"
true
