#!/bin/bash
# The generated pages must be what the program generates (`make docs` makes them).
set -euo pipefail
cd "$(dirname "$0")/.."
diff -u docs/configuration.md <(build/src/cli/banyan config docs)
diff -u docs/metrics.md <(build/src/cli/banyan metrics docs)
