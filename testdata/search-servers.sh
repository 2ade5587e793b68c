#!/bin/sh
# Installs the servers that the tests under the build tag "servers" start, into
# the folder given, and prints what to export:
#
#	eval "$(testdata/search-servers.sh DIR)"
#	go test -tags servers ./clip/search/weaviate ./clip/search/pgvector
#
# A second word, weaviate or pglite, names the only one that is wanted.
#
# Weaviate is compiled, which takes about ten minutes and 3 GB of Go's caches.
# PGlite is PostgreSQL with pgvector in WebAssembly and needs Node.js and npm; a
# server of your own does as well: TESSERA_POSTGRES=postgres://….
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
	echo "usage: $0 DIR [weaviate|pglite]" >&2
	exit 2
fi
only=${2:-}
mkdir -p "$1"
dir=$(cd "$1" && pwd)

if [ "$only" = pglite ]; then
	:
elif [ -x "$dir/weaviate-server" ] || GOBIN="$dir" \
	go install github.com/weaviate/weaviate/cmd/weaviate-server@v1.35.2 >&2; then
	echo "export TESSERA_WEAVIATE='$dir/weaviate-server'"
else
	echo "$0: no Weaviate" >&2
fi

pg=$dir/node_modules/@electric-sql
if [ "$only" = weaviate ]; then
	:
elif [ -d "$pg/pglite-pgvector" ] && [ -d "$pg/pglite-socket" ] || npm install --prefix "$dir" --no-audit --no-fund --silent \
	@electric-sql/pglite@0.5.14 @electric-sql/pglite-pgvector@0.0.15 @electric-sql/pglite-socket@0.2.17 >&2; then
	echo "export TESSERA_PGLITE='$dir'"
else
	echo "$0: no PGlite" >&2
fi
