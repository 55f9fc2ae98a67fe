#!/bin/bash
# End the processes that start.sh recorded, and only those. They hold nothing but memory, so nothing is lost by ending them at once.
# usage: stop.sh ROOT
while read -r pid; do kill -9 "$pid" 2>/dev/null; done < "$1/pids"
true
