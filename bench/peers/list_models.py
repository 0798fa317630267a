"""Print timm's networks."""

from __future__ import annotations

from bench.peers.operators import declare

if __name__ == "__main__":
    declare()
    import timm

    print(*timm.list_models(), sep="\n")
