"""Models on the Hugging Face hub, or on a server that speaks its protocol (HF_ENDPOINT).

The package `huggingface_hub` does the talking; it is an optional extra (`reslab[hub]`) and is
imported when it is first needed. Tokens are its own business (`hf auth login`, HF_TOKEN).
"""

from __future__ import annotations

import contextlib
import importlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reslab import artifact, durable
from reslab.artifact import Artifact
from reslab.errors import CheckpointError, MachineError, ReslabError, UsageError
from reslab.weights.card import model_card, published

PREFIX = "hf-hub:"
CARD = "README.md"
# All that is ever fetched: our own format, or another program's weights with its description.
PATTERNS = (
    artifact.MODEL_JSON,
    artifact.WEIGHTS,
    durable.MANIFEST,
    "config.json",
    "pytorch_model.bin",
)


def is_hub_id(source: str | Path) -> bool:
    """Tell whether a source is ``hf-hub:owner/name`` (optionally with ``@revision``)."""
    return isinstance(source, str) and source.startswith(PREFIX)


def download(source: str | Path, revision: str | None = None) -> Path:
    """Fetch a repository's model into the hub's own cache and return the folder.

    Args:
        source: ``hf-hub:owner/name`` or ``hf-hub:owner/name@revision``.
        revision: branch, tag or commit, where `source` names none.

    Raises:
        UsageError: no such repository or revision, or no right to read it.
        MachineError: the hub cannot be reached, or `huggingface_hub` is not installed.
    """
    repo, _, told = str(source).removeprefix(PREFIX).partition("@")
    _check_name(repo)
    package = _package()
    with _explained(repo):
        folder = package.snapshot_download(
            repo, revision=told or revision, allow_patterns=list(PATTERNS)
        )
    return Path(folder)


def pull(repo: str, *, revision: str | None = None) -> Artifact:
    """Fetch a model of reslab from a repository; its hashes are checked.

    Raises:
        CheckpointError: the repository holds no model of reslab, or a damaged one.
        UsageError, MachineError: as for `download`.
    """
    folder = download(repo, revision)
    if not (folder / artifact.MODEL_JSON).exists():
        raise CheckpointError(
            f"{repo} holds no model of reslab",
            remedy="for other programs' weights: download the file, then reslab weights import",
        )
    return artifact.load(folder)


def push(
    model: Path,
    repo: str,
    *,
    private: bool = False,
    licence: str | None = None,
    message: str | None = None,
) -> str:
    """Upload a model with a generated card, in one commit; return the repository's address.

    The command line, the path of the data and the names of excluded images stay at home.

    Args:
        model: a run or model folder.
        repo: ``owner/name``; made where it does not exist.
        private: make a new repository private.
        licence: identifier of the model's licence for the card, e.g. "apache-2.0".
        message: of the commit.

    Raises:
        CheckpointError: the model cannot be read.
        UsageError: no right to write there, or a name no repository can have.
        MachineError: the hub cannot be reached, or `huggingface_hub` is not installed.
    """
    _check_name(repo)
    package = _package()
    loaded = published(artifact.load(model))
    with tempfile.TemporaryDirectory(prefix="reslab-push-") as name, _explained(repo):
        folder = Path(name) / "model"
        artifact.save(loaded, folder)
        card = model_card(loaded, repo=repo, licence=licence)
        (folder / CARD).write_text(card, encoding="utf-8")
        api = package.HfApi()
        url = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            commit_message=message or f"{loaded.network.spec.name} by reslab",
        )
    return str(url)


def _check_name(repo: str) -> None:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise UsageError(f"'{repo}' is no repository", remedy="write owner/name")


def _package() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise MachineError(
            "hubs need the package huggingface_hub", remedy="pip install 'reslab[hub]'"
        ) from error


@contextlib.contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Turn the package's errors into ours."""
    errors = importlib.import_module("huggingface_hub.errors")
    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"{repo} has no such revision") from error
    except (errors.RepositoryNotFoundError, errors.GatedRepoError) as error:
        raise UsageError(
            f"there is no repository {repo}, or you may not read or write it",
            remedy="check the name, or log in with 'hf auth login'",
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise MachineError(
            f"the hub cannot be reached for {repo}, and it is not in the cache"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        message = f"the hub refused {repo} (HTTP {status})"
        if status in (401, 403):
            raise UsageError(message, remedy="log in with 'hf auth login'") from error
        raise MachineError(message) from error
    except errors.HFValidationError as error:
        raise UsageError(f"'{repo}' is no repository: {error}") from error
    except Exception as error:
        if isinstance(error, ReslabError) or not _is_of_the_network(error):
            raise
        raise MachineError(f"the hub cannot be reached for {repo}: {error}") from error


def _is_of_the_network(error: Exception) -> bool:
    """Tell errors of the connection from mistakes; which client speaks depends on the version."""
    return isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "requests"))
