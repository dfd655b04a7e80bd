#!/bin/sh
# embed.sh NAME FILE... - prints C that holds the files as an array of
# struct asset (server/asset.h): octets are plain C, in any build directory,
# where .incbin would need to be told a path.  NAME=FILE gives a file another
# name than its own.
set -eu
array=$1
shift
echo '#include "server/asset.h"'
n=0
for file in "$@"; do
    n=$((n + 1))
    echo "static const unsigned char octets_$n[] = {"
    od -An -v -tx1 "${file#*=}" | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'
    # No file is empty to C, whose arrays must not be.
    [ -s "${file#*=}" ] || echo 0x0a
    echo '};'
done
echo "const struct asset $array[] = {"
n=0
for file in "$@"; do
    n=$((n + 1))
    name=${file%%=*}
    hash=$(sha256sum "${file#*=}" | cut -c 1-32)
    echo "    {\"${name##*/}\", \"\\\"$hash\\\"\", octets_$n, sizeof(octets_$n)},"
done
echo '    {0},'
echo '};'
