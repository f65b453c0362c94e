#!/bin/sh
# Build the page that `earnest serve` shows, where that can be done; where not, say why: all else works without it.
cd "$(dirname "$0")/../web" || exit 1
without() {
  echo "The page of 'earnest serve' was not built: $1. All else works without it; 'make web' builds it later."
  exit 0
}
command -v npm >/dev/null && command -v node >/dev/null || without "npm and Node 20 are not installed"
[ "$(node --print 'process.versions.node.split(".")[0] >= 20')" = true ] || without "Node is older than version 20"
[ -n "$(find page src build.mjs package-lock.json -newer ../earnest/apps/web/index.html 2>/dev/null)" ] ||
  [ ! -e ../earnest/apps/web/index.html ] || exit 0
echo "Building the page of 'earnest serve' …"
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
  npm ci --ignore-scripts --no-audit --no-fund --silent || without "'npm ci' failed"
fi
npm run --silent page || without "'npm run page' failed"
touch ../earnest/apps/web/index.html
