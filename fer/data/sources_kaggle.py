"""Kaggle data sets through kagglehub, which keeps its own cache of downloads."""

import contextlib
import re
import sys
from pathlib import Path

from fer.data.sources_images import Progress
from fer.errors import UserError

_HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
CREDENTIALS = (
    "Create a token on kaggle.com (Settings, API, Create New Token) and put the kaggle.json it gives you "
    "into the folder .kaggle in your home folder, or set KAGGLE_USERNAME and KAGGLE_KEY"
)


def download(handle: str, progress: Progress) -> Path:
    """The folder of the downloaded data set `OWNER/NAME`.

    Raises:
        UserError: the handle is malformed or unknown, credentials are missing, or there is no network.
    """
    if not _HANDLE.fullmatch(handle):
        raise UserError(
            f"{handle[:80]!r} names no Kaggle data set; write kaggle:OWNER/NAME, as kaggle:msambare/fer2013."
        )
    progress(0.0, f"Downloading {handle} from Kaggle")
    import kagglehub
    import requests
    from kagglehub import exceptions

    try:
        with contextlib.redirect_stdout(sys.stderr):  # --json promises standard output to one document
            return Path(kagglehub.dataset_download(handle))
    except (exceptions.UnauthenticatedError, exceptions.CredentialError) as error:
        raise UserError(f"Kaggle asks who you are before it gives {handle}. {CREDENTIALS}.") from error
    except requests.HTTPError as error:
        raise _http_error(handle, error) from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise UserError(
            f"Kaggle cannot be reached, so {handle} was not downloaded. Check the network, or download the "
            "zip in a browser and import that file."
        ) from error
    except (exceptions.DataCorruptionError, exceptions.BackendError, requests.RequestException) as error:
        raise UserError(
            f"Kaggle could not deliver {handle} ({str(error)[:200]}). Try again later."
        ) from error
    except OSError as error:
        raise UserError(
            f"The download of {handle} could not be stored ({error.strerror or error})."
        ) from error


def _http_error(handle: str, error: "Exception") -> UserError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return UserError(
            f"Kaggle refuses {handle} (status {status}): it is private, misspelt, or wants credentials. "
            f"{CREDENTIALS}."
        )
    if status == 404:
        return UserError(
            f"Kaggle has no data set {handle}. Check the spelling, as in kaggle:msambare/fer2013."
        )
    return UserError(f"Kaggle could not deliver {handle} (status {status}). Try again later.")
