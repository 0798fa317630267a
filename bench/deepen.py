"""Train a shallow network, deepen it, train on: the construction of He et al. 2015, measured.

    python bench/deepen.py fashion-mnist --epochs 3 --more 3 --out RESULT.json
    python bench/deepen.py digits --epochs 5 --more 5              # a minute

For each family (resnet20 -> resnet56, plain20 -> plain56 unless named otherwise):

1. the shallow network is trained, and measured on the images it was trained on;
2. it is deepened: the largest difference of the logits on 1,000 test images, in float32;
3. the deep network is trained on (`reslab train --deepen-from`) and measured on the same images;
4. controls: the shallow network trained on as long with the same recipe (`--start`), and with
   `--scratch` the deep one trained from scratch for all the epochs together.

Every arm is the command that users type, one after the other on all cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab import artifact, child
from reslab.data.image_cache import open_fitted
from reslab.data.loader import eval_batches
from reslab.data.open import open_dataset
from reslab.evaluate import protocol
from reslab.networks.network import Network
from reslab.networks.surgery import deepen

CHECKED_IMAGES = 1_000
Row = dict[str, Any]


def reslab(*words: str) -> Row:
    """Run a command and return the JSON document that it prints."""
    argv = [sys.executable, "-m", "reslab", *words, "--json"]
    code, printed = child.run(argv)
    if code:
        sys.exit(f"{' '.join(argv)} ended with {code}")
    return json.loads(printed)  # type: ignore[no-any-return]


def trained(scratch: Path, name: str, data: str, flags: list[str]) -> Row:
    """Train, then measure on train and on test."""
    began = time.perf_counter()
    run = str(scratch / name)
    reslab("train", data, "--out", run, "--quiet", *flags)
    wall_s = time.perf_counter() - began
    row = {"arm": name, "wall_s": round(wall_s, 1), "run": run}
    for split in ("train", "test"):
        row[f"{split}_accuracy_pct"] = reslab("eval", run, data, "--split", split)["accuracy_pct"]
    print(
        f"{name:<22} train {row['train_accuracy_pct']:6.2f}%  test {row['test_accuracy_pct']:6.2f}%"
        f"  {wall_s:6.0f} s",
        file=sys.stderr,
    )
    return row


def logits(network: Network, run: str, data: str) -> torch.Tensor:
    """Compute the logits of test images, prepared as the run's model wants them."""
    model = artifact.load(run)
    dataset = protocol.with_recorded_splits(open_dataset(data), Path(run), model)
    fitted = open_fitted(dataset, model.preprocess)
    samples = dataset.split("test")[:CHECKED_IMAGES]
    batches = eval_batches(fitted, samples, model.preprocess, 250, torch.device("cpu"))
    found = torch.empty(len(dataset.labels), network.num_classes)
    with torch.inference_mode():
        for images, numbers in batches:
            found[numbers] = network.eval()(images)
    return found[torch.from_numpy(np.asarray(samples))]


def check_logits(run: str, data: str, deep: str) -> Row:
    """Compare the logits of a trained network and of its deeper form."""
    network = artifact.load(run).network
    before, after = logits(network, run, data), logits(deepen(network, deep), run, data)
    difference = (after - before).abs().max().item()
    print(f"{deep:<22} largest difference of the logits {difference:.1e}", file=sys.stderr)
    return {
        "largest_difference": difference,
        "largest_logit": before.abs().max().item(),
        "num_images": len(before),
    }


def measure(scratch: Path, shallow: str, deep: str, args: argparse.Namespace) -> Row:
    common = ["--seed", str(args.seed), "--precision", args.precision]
    more = [*common, "--recipe", "deepened", "--epochs", str(args.more)]
    first = trained(
        scratch, shallow, args.data, ["--model", shallow, "--epochs", str(args.epochs), *common]
    )
    same = check_logits(first["run"], args.data, deep)
    arms = [first]
    source = ["--deepen-from", first["run"], "--model", deep]
    arms.append(trained(scratch, f"{deep} deepened", args.data, [*source, *more]))
    arms.append(trained(scratch, f"{shallow} went on", args.data, ["--start", first["run"], *more]))
    if args.scratch:
        flags = ["--model", deep, "--epochs", str(args.epochs + args.more), *common]
        arms.append(trained(scratch, f"{deep} from scratch", args.data, flags))
    for arm in arms:
        del arm["run"]
    gain = arms[1]["train_accuracy_pct"] - first["train_accuracy_pct"]
    return {"logits": same, "arms": arms, "gain_train_accuracy_points": round(gain, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="a folder or the name of a data set, as for reslab train")
    parser.add_argument("--pairs", nargs="+", default=["resnet20:resnet56", "plain20:plain56"])
    parser.add_argument("--epochs", type=float, default=3, help="of the shallow network")
    parser.add_argument("--more", type=float, default=3, help="of each arm after that")
    parser.add_argument("--scratch", action="store_true", help="the deep one from scratch, too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="auto", help="of training; logits are in float32")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for pair in args.pairs:
            shallow, deep = pair.split(":")
            results[pair] = measure(Path(scratch), shallow, deep, args)
    settings = {name: getattr(args, name) for name in ("data", "epochs", "more", "seed")}
    text = json.dumps({**settings, "pairs": results}, indent=2)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
