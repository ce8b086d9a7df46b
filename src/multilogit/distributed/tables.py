"""Dask data frames: what is read of them, and how their rows come to lie group by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multilogit.data.files import PARQUET
from multilogit.data.ingest import Table, read_table
from multilogit.errors import DataError, OptionError
from multilogit.extras import require
from multilogit.lazy import pd

if TYPE_CHECKING:
    from distributed import Client


_PATIENCE = 10
"""Seconds to wait for a scheduler."""


def is_dask(data: object) -> bool:
    """Whether data are a Dask data frame; Dask is not imported for it."""
    kind = type(data)
    return kind.__module__.partition(".")[0] == "dask" and hasattr(data, "to_delayed")


@contextmanager
def on_scheduler(address: str | None) -> Iterator[Client | None]:
    """A client of the scheduler at an address, as long as it is needed; None without one.

    Raises
    ------
    OptionError
        There is no scheduler at the address.
    """
    if address is None:
        yield None
        return
    _require()
    from distributed import Client

    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OptionError(
            f"No Dask scheduler answers at {address!r}; start one with `dask scheduler`. "
            f"({type(error).__name__})"
        ) from None
    with client:
        yield client


def _require() -> None:
    purpose = "Fits on a Dask cluster"
    require("dask.dataframe", needs="dask", extra="distributed", purpose=purpose)
    require("distributed", needs="distributed", extra="distributed", purpose=purpose)


def connected(client: Client | None) -> Client:
    """The client that was given, or the present one.

    Raises
    ------
    OptionError
        There is none.
    """
    _require()
    from distributed import default_client

    if client is not None:
        return client
    try:
        present: Client = default_client()
        return present
    except ValueError:
        raise OptionError(
            "A Dask data frame is fitted by the workers of a cluster: start one, "
            "`from distributed import Client; client = Client()`, or give client=."
        ) from None


def dask_frame(data: Any, client: Client) -> Any:
    """Data as a Dask data frame: one already, a pandas data frame, or files.

    Raises
    ------
    DataError
        It is none of these, or a file cannot be read.
    """
    import dask.dataframe as dd

    if is_dask(data):
        return data
    if isinstance(data, pd.DataFrame):
        return dd.from_pandas(data, npartitions=n_threads(client), sort=False)
    if not isinstance(data, str | Path):
        raise DataError(
            "With client= the data must be a Dask or pandas data frame, or the path of Parquet or "
            "CSV files that every worker can read."
        )
    parquet = Path(data).suffix.lower() in PARQUET or Path(data).is_dir()
    try:
        return dd.read_parquet(str(data)) if parquet else dd.read_csv(str(data))
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read {str(data)!r}: {error}") from None


def n_threads(client: Client) -> int:
    """Threads of all workers.

    Raises
    ------
    OptionError
        There are no workers.
    """
    threads = int(sum(client.nthreads().values()))
    if not threads:
        raise OptionError("The Dask cluster has no workers.")
    return threads


def heading(frame: Any) -> Table:
    """The columns of a Dask data frame, without rows."""
    return Table({str(name): k for k, name in enumerate(frame.columns)}, 0, lambda _: None)


def selected(frame: Any, names: Sequence[str]) -> Any:
    """Some columns, by their texts."""
    wanted = set(names)
    return frame[[name for name in frame.columns if str(name) in wanted]]


def by_groups(frame: Any, names: Sequence[str], n_parts: int) -> Any:
    """The rows so that each combination of these columns lies in one partition."""
    texts = {str(name): name for name in frame.columns}
    on = [texts[name] for name in names]
    return frame.shuffle(on=on, npartitions=n_parts)


def n_distinct(frame: Any, names: Sequence[str]) -> int:
    """Different combinations of some columns."""
    return len(selected(frame, names).drop_duplicates(split_out=frame.npartitions))


def partitions_of(client: Client, frame: Any) -> list[Any]:
    """The partitions, computed by the workers."""
    found: list[Any] = client.compute(frame.to_delayed())
    return found


def sample(frame: Any) -> Table:
    """A few made-up rows with the columns and types of a Dask data frame."""
    return read_table(frame._meta_nonempty)
