#!/usr/bin/env bash
# Installs the gun.js that the interop tests talk to, next to what cargo builds.
set -euo pipefail
cd "$(dirname "$0")/../../.."
mkdir -p target/interop
if cmp --silent loom-relay/tests/interop/package.json target/interop/package.json &&
  [ -e target/interop/node_modules/.package-lock.json ]; then
  exit 0
fi
cp loom-relay/tests/interop/package.json target/interop/package.json
npm install --prefix target/interop --no-audit --no-fund --no-package-lock --loglevel=error
