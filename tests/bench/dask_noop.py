#!/usr/bin/python3
"""Prints how many no-op tasks a second Dask's scheduler gets through: client, scheduler and two worker
processes of one thread each, over loopback TCP, as Dask sets them up by itself. Time runs from client.map
to the moment when every task is known to have finished; results are not fetched."""
import json
import sys
import time

import distributed


def noop(number):
    return None


def main():
    tasks = int(sys.argv[1])
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster, distributed.Client(cluster) as client:
        distributed.wait(client.map(noop, range(-1000, 0)))  # to warm up
        start = time.monotonic()
        futures = client.map(noop, range(tasks))
        submitted = time.monotonic()
        distributed.wait(futures)
        end = time.monotonic()
        assert all(future.status == "finished" for future in futures)
    print(
        json.dumps(
            {
                "tasks": tasks,
                "tasks_per_s": tasks / (end - start),
                "map_s": submitted - start,
                "version": distributed.__version__,
                "workers": 2,
            }
        )
    )


if __name__ == "__main__":
    main()
