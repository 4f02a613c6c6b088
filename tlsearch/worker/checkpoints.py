"""The files of a trial: checkpoints while it runs, its model if it is among the best."""

import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress

from tlsearch.artifacts import ATTEMPT_SUFFIX, Artifacts, attempt_file
from tlsearch.errors import CheckpointError, StorageError, described
from tlsearch.finetune import curve_of
from tlsearch.store.claims import Claim, TrialClaims


class TrialFiles:
    """Keeps one attempt's checkpoint; writes while training goes on.

    A checkpoint that cannot be written (a full disk) stops nothing: the trial goes on without.

    Args:
        artifacts: where files are kept.
        claim: the attempt; its token names the file.

    Attributes:
        problem: why the last checkpoint could not be written; None where it could.
        saved_epoch: epochs that the file holds, once it is written.
    """

    def __init__(self, artifacts: Artifacts, claim: Claim) -> None:
        self._artifacts = artifacts
        self._claim = claim
        self._earlier = list(claim.earlier_tokens)  # of attempts whose files are still there
        self._writer: threading.Thread | None = None
        self.problem: str | None = None
        self.saved_epoch: int | None = None

    def latest(self) -> bytes | None:
        """Return the checkpoint of an earlier attempt that holds the most epochs, if there is one.

        Damaged ones are skipped.
        """
        best: tuple[int, bytes] | None = None
        for token in self._earlier:
            data = self._read(token)
            if data is None:
                continue
            try:
                epochs = len(curve_of(data))
            except CheckpointError as error:
                self.problem = str(error)
                continue
            if best is None or epochs > best[0]:
                best = (epochs, data)
        return best[1] if best else None

    def save(self, epoch: int, data: bytes) -> None:
        """Write a checkpoint beside the training; waits for the one before."""
        self.wait()
        self._writer = threading.Thread(target=self._write, args=(epoch, data), daemon=True)
        self._writer.start()

    def save_now(self, epoch: int, data: bytes) -> None:
        """Write a checkpoint and wait until it is on disk."""
        self.save(epoch, data)
        self.wait()

    def wait(self) -> None:
        """Wait until nothing is being written."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def keep_model(self, data: bytes) -> bool:
        """Replace the checkpoint by the trained model; return whether that went well."""
        self.wait()
        self._write(-1, data)
        return self.problem is None

    def remove(self) -> None:
        """Remove the checkpoints of this and of all earlier attempts."""
        self.wait()
        # A worker that woke from a freeze may have written its file again.
        remove_files(self._artifacts, [self._claim.token, *self._claim.earlier_tokens])
        self._earlier = []

    def remove_earlier(self) -> None:
        """Remove the checkpoints of earlier attempts."""
        self.wait()
        remove_files(self._artifacts, self._claim.earlier_tokens)
        self._earlier = []

    def _write(self, epoch: int, data: bytes) -> None:
        try:
            self._artifacts.save(attempt_file(self._claim.token), data)
        except (OSError, StorageError) as error:
            self.problem = str(error)
            return
        except Exception as error:  # of whatever keeps the files
            self.problem = described(error)
            return
        self.problem = None
        self.saved_epoch = epoch
        remove_files(self._artifacts, self._earlier)
        self._earlier = []

    def _read(self, token: str) -> bytes | None:
        try:
            return self._artifacts.read(attempt_file(token))
        except (OSError, StorageError) as error:
            self.problem = str(error)
            return None


def remove_unneeded_files(artifacts: Artifacts, claims: TrialClaims, keep_best: int) -> None:
    """Remove the files of a study's trials that dead workers left; what cannot be removed stays."""
    remove_files(artifacts, claims.surplus_models(keep_best))
    with suppress(OSError, StorageError):
        names = [name for name in artifacts.names() if name.endswith(ATTEMPT_SUFFIX)]
        tokens = [token for token in map(_token_of, names) if token is not None]
        remove_files(artifacts, claims.unneeded_files(tokens) if tokens else [])


def _token_of(name: str) -> str | None:
    try:
        return str(uuid.UUID(name.removesuffix(ATTEMPT_SUFFIX)))
    except ValueError:  # somebody else's
        return None


def remove_files(artifacts: Artifacts, tokens: Sequence[str]) -> None:
    """Remove the files of attempts; what cannot be removed stays."""
    for token in tokens:
        try:
            artifacts.remove(attempt_file(token))
        except (OSError, StorageError):
            continue
