"""Variables that only a fresh program takes on reach workers all the same."""

import os
import subprocess
import sys

import loky

SEED = "12345"


def hash_of_a():
    return hash("a")


def expected_hash():
    environment = {**os.environ, "PYTHONHASHSEED": SEED}
    command = [sys.executable, "-c", "print(hash('a'))"]
    return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


def test_an_executors_own_variables_are_read_by_its_workers_interpreters(launcher):
    with loky.ProcessPoolExecutor(1, env={"PYTHONHASHSEED": SEED}, launcher=launcher) as pool:
        assert pool.submit(hash_of_a).result() == expected_hash()


def test_workers_that_start_after_a_change_see_it_and_earlier_ones_do_not(launcher, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    with loky.ProcessPoolExecutor(1, launcher=launcher) as pool:
        before = pool.submit(hash_of_a).result()
        monkeypatch.setenv("PYTHONHASHSEED", SEED)
        assert pool.submit(hash_of_a).result() == before
        (worker,) = pool._processes.values()
        worker.kill()
        worker.join()
        assert pool.submit(hash_of_a).result() == expected_hash() != before
